from dataclasses import replace

import pandas as pd
import pytest
from simulated import frame_of

from gradstudy.study.answer.confirmation_plan import Chosen
from gradstudy.study.horizon.halving import fared, survivors


def chosen(strategy: str, learning_rate: float, multiple: float = 1.0) -> Chosen:
    threshold = 1.0 if strategy == "norm" else None
    return Chosen(
        cell="lstm", strategy=strategy, threshold=threshold, learning_rate=learning_rate, factors={},
        multiple=multiple, number=None,
    )  # fmt: skip


def runs_of(*losses: tuple[Chosen, float]) -> pd.DataFrame:
    return frame_of(
        {"cell": setting.cell, "strategy": setting.strategy, "threshold": setting.threshold, "number": number,
         "learning_rate": setting.learning_rate, "validation_loss": loss, "final_loss": loss, "seed": number}
        for number, (setting, loss) in enumerate(losses)
    )  # fmt: skip


FIRST = [chosen("none", 0.4), chosen("none", 0.2, 0.5), chosen("norm", 2.0), chosen("norm", 1.0, 0.5)]
OTHERS = [chosen("zclip", 3.0), chosen("zclip", 1.5, 0.5), chosen("value", 5.0), chosen("value", 2.5, 0.5)]


def test_the_best_quarter_goes_on_with_the_answer_and_with_half_of_a_lowest_rate() -> None:
    settings = [*FIRST, *OTHERS]
    trials = runs_of(*zip(settings, (2.0, 1.9, 1.8, 1.5, 1.7, 1.6, 2.2, 2.1), strict=True))
    kept = survivors(settings, fared(settings, trials), settings[0], 99)
    assert kept[:3] == [settings[3], settings[5], settings[0]]
    assert kept[3:] == [
        replace(settings[3], learning_rate=0.5, multiple=0.25), replace(settings[5], learning_rate=0.75, multiple=0.25)
    ]  # fmt: skip


def test_the_answer_is_not_taken_along_twice_and_what_has_not_ended_is_last() -> None:
    trials = runs_of((FIRST[0], 1.0), (FIRST[2], 1.2))
    table = fared(FIRST, trials)
    assert table["runs"].tolist() == [1, 0, 1, 0]
    assert survivors(FIRST, table, FIRST[0], 99) == [FIRST[0], FIRST[2]]


def test_the_answer_of_the_short_runs_takes_no_place_of_a_better_setting_and_does_not_come_back() -> None:
    settings = [*FIRST, *OTHERS]
    trials = runs_of(*zip(settings, (2.0, 1.9, 1.8, 1.5, 1.7, 1.6, 2.2, 2.1), strict=True))
    table = fared(settings, trials)
    assert survivors(settings, table, settings[0], 2) == [settings[3], settings[5]]
    without = survivors(settings[1:], table.iloc[1:], settings[0], 99)
    assert settings[0] not in without


def test_how_settings_fared_is_the_mean_in_which_a_diverged_run_counts_as_untrained() -> None:
    trials = runs_of((FIRST[2], 1.0), (FIRST[2], 2.0), (FIRST[2], 9.0), (FIRST[0], 1.5))
    trials.loc[2, ["outcome", "reason"]] = ["diverged", "blow_up"]
    row = fared(FIRST, trials).iloc[2]
    untrained = trials["initial_validation_loss"].iloc[0]
    assert row["loss"] == pytest.approx((1 + 2 + untrained) / 3)
    assert (row["runs"], row["diverged"], row["multiple"]) == (3, 1, 1.0)
