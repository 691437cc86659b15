"""Which settings go on from a rung to the next one, which is four times as long: the best ones."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from gradstudy.study.answer.confirmation_plan import Chosen
from gradstudy.study.statistics.grouping import SETTING, all_values, in_words
from gradstudy.study.statistics.settings import by_setting
from gradstudy.study.wording import three_digits

QUARTER = 0.25
"""Of the settings, that go on as best ones."""
KEPT = 2
"""Settings that go on at least."""
HALF = 0.5
"""Longer training wants lower learning rates: what goes on from the lowest of its rates has half of it tried, too."""
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


def survivors(chosen: list[Chosen], table: pd.DataFrame, answer: Chosen, most: int) -> list[Chosen]:
    """The settings that go on from a rung: the best quarter of all, the answer of the study, half of lowest rates.

    Where there is little room, the answer of the short runs takes no place of one that was better here: with three
    places it cost 24% of the loss at 16 times the steps in one of four problems, see ``docs/benchmarks.md``.

    Args:
        chosen: the settings of the rung.
        table: see ``fared``.
        answer: of the study.
        most: settings that may go on.
    """
    order = np.argsort(table["loss"].fillna(math.inf).to_numpy(), kind="stable")
    kept = [chosen[place] for place in order[: max(KEPT, math.ceil(QUARTER * len(chosen)))]]
    if answer in chosen and answer not in kept:
        kept.append(answer)
    return [*kept, *(_halved(setting) for setting in kept if _is_lowest(setting, chosen))][:most]


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
