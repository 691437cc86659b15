"""Which setting the answer is, and which one would be it otherwise."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from gradstudy.models.strategies import code_length
from gradstudy.study.worth.preference import best_place
from gradstudy.study.worth.worth import Worth

FEWEST_FRESH = 2
"""Fresh runs with which a setting is a finalist."""


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


def choose(worth: Worth, settings: pd.DataFrame) -> Choice | None:
    """The setting with the lowest J among those whose risk is known to be acceptable.

    Where settings have fresh runs, it is one of these; see ``best_place``.

    Args:
        worth: of the settings observed.
        settings: the same, see ``Observation``.
    """
    may_be = (settings["trained"] > 0).to_numpy()
    if not may_be.any():
        return None
    finalists = may_be & (settings["fresh"] >= FEWEST_FRESH).to_numpy()
    pool = finalists if finalists.any() else may_be
    effort = np.array([code_length(strategy) for strategy in settings["strategy"]], float)
    best = best_place(worth, pool, effort)
    others = pool & _elsewhere(settings, best)
    if not others.any():
        return Choice(best, None, np.nan)
    runner_up = best_place(worth, others, effort)
    away = worth.expected[best] - worth.expected[runner_up]
    sd = float(np.hypot(worth.sd[best], worth.sd[runner_up]))
    return Choice(best, runner_up, float(ndtr(away / sd)))


def _elsewhere(settings: pd.DataFrame, best: int) -> NDArray[np.bool_]:
    """Those that differ in more than the learning rate."""
    keys = ["cell", "strategy", "factors", "threshold"]
    same = settings[keys].eq(settings[keys].iloc[best]) | (settings[keys].isna() & settings[keys].iloc[best].isna())
    return np.asarray(~same.all(axis=1))
