"""Which setting the answer is, and which one would be it otherwise."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from gradstudy.models.strategies import STRATEGIES, code_length
from gradstudy.study.answer.appraisal import Appraisal
from gradstudy.study.answer.confidence_sequence import anytime_interval
from gradstudy.study.answer.evidence import ACCEPTABLE_UPPER_BOUND
from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.statistics.grouping import GROUP
from gradstudy.study.worth.preference import best_place, is_tested
from gradstudy.study.worth.worth import Worth


@dataclass(frozen=True)
class Choice:
    """The answer among the settings observed.

    Attributes:
        best: its place.
        runner_up: the place of the best one of another cell, strategy or threshold; None where there is none.
        probability: that the runner-up is the better one; NaN without one.
    """

    best: int
    runner_up: int | None
    probability: float


def choose(worth: Worth, settings: pd.DataFrame, *, only_safe: bool = True) -> Choice | None:
    """The setting with the lowest J among those whose risk is known to be acceptable.

    Where settings have fresh runs, it is one of these; see ``best_place``.

    Args:
        worth: of the settings observed.
        settings: the same, see ``Observation``.
        only_safe: see ``best_place``.
    """
    may_be = (settings["trained"] > 0).to_numpy()
    if not may_be.any():
        return None
    fresh = settings["fresh"].to_numpy(np.int64)
    again = may_be & (fresh > 0)
    tested = again if again.any() else may_be
    pool = tested & is_tested(np.where(tested, fresh, 0))
    confirmed, effort = _confirmed(settings), _effort(settings)
    best = best_place(worth, pool, confirmed, effort, only_safe=only_safe)
    others = tested & _elsewhere(settings, best)
    if not others.any():
        return Choice(best, None, np.nan)
    runner_up = best_place(worth, others, confirmed, effort, only_safe=only_safe)
    away = worth.expected[best] - worth.expected[runner_up]
    sd = float(np.hypot(worth.sd[best], worth.sd[runner_up]))
    return Choice(best, runner_up, float(ndtr(away / sd)))


def ranking(appraisal: Appraisal, most: int) -> Iterator["pd.Series[Any]"]:
    """The answer of a study and the best of its other settings, each of another cell, strategy or choice of factors."""
    settings, worth = appraisal.settings, appraisal.worth
    answer = None if worth is None else choose(worth, settings)
    if worth is None or answer is None:
        return
    left = np.array(settings["trained"] > 0, bool)
    confirmed, effort = _confirmed(settings), _effort(settings)
    for place in range(most):
        if not left.any():
            return
        best = settings.iloc[best_place(worth, left, confirmed, effort) if place else answer.best]
        yield best
        left &= ~settings[[*GROUP, "factors"]].eq(best[[*GROUP, "factors"]]).all(axis=1).to_numpy()


def _confirmed(settings: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether the fresh runs of each setting show that its risk is acceptable."""
    counts = settings[["fresh_diverged", "fresh"]].to_numpy(np.int64)
    highest = [anytime_interval(int(diverged), int(runs))[1] for diverged, runs in counts]
    return np.array(highest) <= ACCEPTABLE_UPPER_BOUND


def _effort(settings: pd.DataFrame) -> Floats:
    """How much code each setting takes."""
    known = [code_length(strategy) if strategy in STRATEGIES else 0 for strategy in settings["strategy"]]
    return np.array(known, float)


def _elsewhere(settings: pd.DataFrame, best: int) -> NDArray[np.bool_]:
    """Those that differ in more than the learning rate."""
    keys = ["cell", "strategy", "factors", "threshold"]
    same = settings[keys].eq(settings[keys].iloc[best]) | (settings[keys].isna() & settings[keys].iloc[best].isna())
    return np.asarray(~same.all(axis=1))
