"""Which settings go on from a rung to the next one, which is four times as long: those that may be the best there."""

from dataclasses import replace

import numpy as np
import pandas as pd

from gradstudy.study.answer.confirmation_plan import Chosen
from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.horizon.beliefs import Beliefs
from gradstudy.study.horizon.prediction import BELIEFS, possible_worths
from gradstudy.study.horizon.rows import settings_to_predict
from gradstudy.study.statistics.grouping import SETTING, all_values, in_words
from gradstudy.study.statistics.settings import by_setting
from gradstudy.study.wording import three_digits

HALF = 0.5
"""Longer training wants lower learning rates: of the lowest of its rates half may go on, too."""
MEASURED = ["runs", "diverged", "rate_low", "rate_high", "loss", "loss_away", "untrained"]


def fared(chosen: list[Chosen], trials: pd.DataFrame) -> pd.DataFrame:
    """How settings fared.

    Args:
        chosen: the settings.
        trials: rows of ``trial_result`` of their runs.

    Returns:
        A row for each setting, in their order: ``SETTING``, ``factors`` in words, ``multiple`` and ``MEASURED``, see
        ``by_setting``; ``runs`` is 0 where none has ended.
    """
    table = in_words(pd.DataFrame([vars(setting) for setting in chosen]).astype({"threshold": float}))
    found = by_setting(trials.assign(factors=pd.Series(all_values(trials), trials.index, dtype="object")))
    found = found if "factors" in found else found.assign(factors="")
    table = table.merge(found, how="left", on=[*SETTING, "factors"])
    table = table.fillna({"runs": 0, "diverged": 0}).astype({"runs": int, "diverged": int})
    return table[[*SETTING[:2], "factors", *SETTING[2:], "multiple", *MEASURED]]


def survivors(
    chosen: list[Chosen], runs: pd.DataFrame, horizon: int, most: int, beliefs: Beliefs = BELIEFS
) -> list[Chosen]:
    """The settings that go on from a rung: those of which the best one is expected to be as good as possible.

    If all that go on were measured at the horizon, the best of them would be the answer. So each place goes to the
    setting that lowers the expected J of the best one most: by being good, or by being so little known that it may be.
    The best ones of a rung alone would often be alike, and not the ones that are best four times further on.

    Args:
        chosen: the settings of the rung; those whose rate is the lowest of it may go on with half of it, too.
        runs: of all lengths so far, see ``predict``.
        horizon: steps.
        most: settings that go on.
        beliefs: before any run was seen.

    Returns:
        The most wanted first.
    """
    settings = [*chosen, *(_halved(setting) for setting in chosen if _is_lowest(setting, chosen))]
    worths = possible_worths(runs, settings_to_predict(settings), horizon, beliefs)
    return [settings[place] for place in _best_together(worths, most)]


def _best_together(worths: Floats, most: int) -> list[int]:
    """Places whose lowest value is expected to be lowest, found one after the other; values are [draws, places]."""
    found: list[int] = []
    lowest = np.full(len(worths), np.inf)
    for _ in range(min(most, worths.shape[1])):
        expected = np.minimum(lowest[:, None], worths).mean(0)
        expected[found] = np.inf
        found.append(int(expected.argmin()))
        lowest = np.minimum(lowest, worths[:, found[-1]])
    return found


def _halved(setting: Chosen) -> Chosen:
    rate = three_digits(setting.learning_rate * HALF)
    return replace(setting, learning_rate=rate, multiple=setting.multiple * HALF)


def _is_lowest(setting: Chosen, chosen: list[Chosen]) -> bool:
    """Whether no lower learning rate of a setting was tried."""
    rates = [
        other.learning_rate
        for other in chosen
        if replace(other, learning_rate=setting.learning_rate, multiple=setting.multiple) == setting
    ]
    return setting.learning_rate == min(rates)
