from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from simulated import frame_of

from gradstudy.study.answer.confirmation_plan import Chosen
from gradstudy.study.horizon.halving import fared, survivors
from gradstudy.study.horizon.prediction import possible_worths
from gradstudy.study.horizon.rows import settings_to_predict


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


def seen(*losses: tuple[Chosen, int, float]) -> pd.DataFrame:
    """Runs of settings, each of so many steps with such a loss."""
    return pd.DataFrame(
        {"cell": setting.cell, "strategy": setting.strategy, "threshold": setting.threshold, "factors": "",
         "learning_rate": setting.learning_rate, "steps": steps, "seed": number, "outcome": "trained", "reason": None,
         "objective": loss, "untrained": 3.7, "diverged_at_step": None}
        for number, (setting, steps, loss) in enumerate(losses)
    ).astype({"threshold": float, "diverged_at_step": float})  # fmt: skip


SETTINGS = [*FIRST, *OTHERS]
SHORT = [(setting, 100, 2.0) for setting in SETTINGS]
LATER = (1.50, 1.49, 1.51, 1.50, 1.9, 1.9, 2.2, 2.2)


def test_the_best_goes_on_and_places_go_to_settings_that_may_be_better_not_to_bad_ones() -> None:
    runs = seen(*SHORT, *((setting, 400, loss) for setting, loss in zip(SETTINGS, LATER, strict=True)))
    kept = survivors(SETTINGS, runs, 1600, 4)
    assert len(kept) == len({(each.strategy, each.learning_rate) for each in kept}) == 4
    assert {each.strategy for each in kept} == {"none", "norm"}
    assert kept[:2] == survivors(SETTINGS, runs, 1600, 2)


def test_the_lowest_rates_go_on_halved_where_lower_ones_are_ahead() -> None:
    runs = seen(*SHORT, (FIRST[0], 400, 1.9), (FIRST[1], 400, 1.5), (FIRST[2], 400, 1.9), (FIRST[3], 400, 1.5))
    kept = survivors(FIRST, runs, 1600, 3)
    halved = [replace(each, learning_rate=each.learning_rate / 2, multiple=0.25) for each in (FIRST[1], FIRST[3])]
    assert any(each in kept for each in halved)
    assert FIRST[0] not in kept
    assert FIRST[2] not in kept


def test_each_place_lowers_the_expected_best_by_most_as_trying_all_of_them_says() -> None:
    runs = seen(*SHORT, *((setting, 400, loss) for setting, loss in zip(SETTINGS, LATER, strict=True)))
    settings = [*SETTINGS, *survivors(SETTINGS, runs, 1600, 99)]
    settings = list({each.learning_rate: each for each in settings}.values())
    worths = possible_worths(runs, settings_to_predict(settings), 1600)
    kept = survivors(SETTINGS, runs, 1600, 2)
    first = settings.index(kept[0])
    together = [float(np.minimum(worths[:, first], worths[:, place]).mean()) for place in range(len(settings))]
    together[first] = np.inf
    assert worths.mean(0).min() == pytest.approx(worths[:, first].mean(), abs=0.002)
    assert together[settings.index(kept[1])] == pytest.approx(min(together), abs=0.002)


def test_how_settings_fared_is_the_mean_in_which_a_diverged_run_counts_as_untrained() -> None:
    trials = runs_of((FIRST[2], 1.0), (FIRST[2], 2.0), (FIRST[2], 9.0), (FIRST[0], 1.5))
    assert fared(FIRST, trials)["runs"].tolist() == [1, 0, 3, 0]
    trials.loc[2, ["outcome", "reason"]] = ["diverged", "blow_up"]
    row = fared(FIRST, trials).iloc[2]
    untrained = trials["initial_validation_loss"].iloc[0]
    assert row["loss"] == pytest.approx((1 + 2 + untrained) / 3)
    assert (row["runs"], row["diverged"], row["multiple"]) == (3, 1, 1.0)
