import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from simulated import frame_of

from gradstudy.study.statistics.grouping import searched_in_words
from gradstudy.study.statistics.rates import (
    divergence_by,
    divergence_by_factor,
    judged,
    mostly_clipped,
    wilson_interval,
)

Z = 1.959963984540054
"""The 97.5% quantile of the normal distribution."""


def closed_form(diverged: float, runs: int) -> tuple[float, float]:
    rate = diverged / runs
    centre = (rate + Z**2 / (2 * runs)) / (1 + Z**2 / runs)
    half = Z / (1 + Z**2 / runs) * math.sqrt(rate * (1 - rate) / runs + Z**2 / (4 * runs**2))
    return centre - half, centre + half


@pytest.fixture
def trials() -> pd.DataFrame:
    columns = ["cell", "strategy", "threshold", "learning_rate", "outcome", "validation_loss", "clipped_fraction"]

    rows = [
        ("lstm", "norm", 1.0, 0.1, "trained", 2.0, 0.2),
        ("lstm", "norm", 1.0, 1.0, "trained", 1.5, 0.4),
        ("lstm", "norm", 1.0, 10.0, "diverged", np.nan, 0.9),
        ("lstm", "norm", 1.0, 3.0, "stalled", 0.1, 0.5),
        ("lstm", "none", np.nan, 0.5, "diverged", np.nan, 0.0),
        ("lstm", "none", np.nan, 0.3, "diverged", np.nan, 0.0),
        ("gru", "none", np.nan, 0.7, "trained", 3.0, np.nan),
        ("gru", "none", np.nan, 99.0, "failed", np.nan, np.nan),
        ("gru", "none", np.nan, 98.0, None, np.nan, np.nan),
    ]
    return pd.DataFrame(rows, columns=columns).assign(factors="{}")


@pytest.mark.parametrize(("diverged", "runs"), [(0, 1), (1, 1), (0, 20), (3, 10), (50, 100), (999, 1000)])
def test_the_interval_equals_wilsons_formula(diverged: int, runs: int) -> None:
    assert wilson_interval(diverged, runs) == pytest.approx(closed_form(diverged, runs), abs=1e-9)


def test_without_runs_every_rate_is_possible() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("diverged", "runs"), [(0, 7), (7, 7), (1, 30), (400, 1000)])
def test_the_interval_equals_scipys(diverged: int, runs: int) -> None:
    theirs = binomtest(diverged, runs).proportion_ci(0.95, method="wilson")
    assert wilson_interval(diverged, runs) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_the_interval_covers_the_true_rate_in_95_percent_of_ten_thousand_studies() -> None:
    random = np.random.default_rng(0)
    rates, runs = random.uniform(0, 1, 10_000), random.integers(5, 100, 10_000)
    intervals = np.array(
        [wilson_interval(int(k), int(n)) for k, n in zip(random.binomial(runs, rates), runs, strict=True)]
    )
    covered = ((intervals[:, 0] <= rates) & (rates <= intervals[:, 1])).mean()
    assert covered == pytest.approx(0.95, abs=0.01)


def test_more_than_half_of_the_updates_clipped_is_a_warning_but_for_strategies_that_always_change() -> None:
    table = pd.DataFrame(
        {"strategy": ["norm", "norm", "normalize", "none"], "clipped_fraction": [0.51, 0.5, 1.0, np.nan]}
    )
    assert mostly_clipped(table).tolist() == [True, False, False, False]


def test_only_trials_that_say_something_are_judged(trials: pd.DataFrame) -> None:
    assert judged(trials)["outcome"].tolist() == [
        "trained", "trained", "diverged", "stalled", "diverged", "diverged", "trained",
    ]  # fmt: skip


def test_divergence_is_counted_group_by_group(trials: pd.DataFrame) -> None:
    table = divergence_by(trials, ["cell", "strategy"])
    assert table[["cell", "strategy", "runs", "diverged", "rate"]].to_numpy().tolist() == [
        ["gru", "none", 1, 0, 0.0],
        ["lstm", "none", 2, 2, 1.0],
        ["lstm", "norm", 4, 1, 0.25],
    ]
    for row in table.to_dict("records"):
        assert (row["rate_low"], row["rate_high"]) == pytest.approx(closed_form(row["diverged"], row["runs"]))


def test_learning_rates_losses_and_clipping_are_those_of_the_group(trials: pd.DataFrame) -> None:
    table = divergence_by(trials, ["cell", "strategy"]).set_index(["cell", "strategy"])
    norm = table.loc[("lstm", "norm")]
    assert norm["largest_kept_learning_rate"] == 3.0
    assert norm["smallest_diverged_learning_rate"] == 10.0
    assert norm["best_validation_loss"] == 1.5
    assert norm["clipped_fraction"] == pytest.approx(0.5)
    lost = table.loc[("lstm", "none")]
    assert math.isnan(lost["largest_kept_learning_rate"])
    assert math.isnan(lost["best_validation_loss"])
    assert lost["smallest_diverged_learning_rate"] == 0.3
    assert math.isnan(table.loc[("gru", "none")]["smallest_diverged_learning_rate"])


def test_an_interval_counts_a_setting_once_however_many_runs_it_had(trials: pd.DataFrame) -> None:
    once = divergence_by(trials, ["cell", "strategy"])
    often = divergence_by(pd.concat([trials] * 3), ["cell", "strategy"])
    assert often["runs"].tolist() == [3, 6, 12]
    same = ["settings", "rate", "rate_low", "rate_high", "best_validation_loss", "clipped_fraction"]
    pd.testing.assert_frame_equal(once[same], often[same])


def test_a_setting_of_which_half_the_runs_diverged_counts_half(trials: pd.DataFrame) -> None:
    mixed = pd.concat([trials, trials.assign(outcome="diverged")])
    row = divergence_by(mixed, ["cell", "strategy"]).set_index(["cell", "strategy"]).loc[("lstm", "norm")]
    assert (row["settings"], row["runs"], row["diverged"], row["rate"]) == (4, 8, 5, 0.625)
    assert (row["rate_low"], row["rate_high"]) == pytest.approx(closed_form(2.5, 4))


def test_a_missing_threshold_is_a_group_of_its_own(trials: pd.DataFrame) -> None:
    table = divergence_by(trials, ["strategy", "threshold"])
    assert table["runs"].tolist() == [3, 4]
    assert table["threshold"].isna().tolist() == [True, False]


def test_counts_of_random_trials_equal_those_of_a_plain_loop() -> None:
    random = np.random.default_rng(1)
    trials = pd.DataFrame(
        {
            "cell": random.choice(["lstm", "gru"], 300),
            "learning_rate_bin": random.choice([0.1, 0.316, 1.0], 300),
            "strategy": "norm",
            "threshold": 1.0,
            "factors": "{}",
            "learning_rate": random.uniform(0.1, 2, 300),
            "outcome": random.choice(["trained", "stalled", "diverged", "failed"], 300),
            "validation_loss": random.uniform(1, 2, 300),
            "clipped_fraction": random.uniform(0, 1, 300),
        }
    )
    for row in divergence_by(trials, ["cell", "learning_rate_bin"]).to_dict("records"):
        group = [
            trial
            for trial in trials.to_dict("records")
            if all(trial[key] == row[key] for key in ("cell", "learning_rate_bin")) and trial["outcome"] != "failed"
        ]
        assert row["runs"] == len(group)
        assert row["diverged"] == sum(trial["outcome"] == "diverged" for trial in group)
        kept = [trial["learning_rate"] for trial in group if trial["outcome"] != "diverged"]
        assert row["largest_kept_learning_rate"] == max(kept)
    assert len(divergence_by(trials, ["cell", "learning_rate_bin"])) == 6


def test_of_no_trials_there_are_no_groups(trials: pd.DataFrame) -> None:
    for none in (trials.iloc[:0], trials[trials["outcome"] == "failed"]):
        table = divergence_by(none, ["cell", "strategy"])
        assert table.empty
        assert {"runs", "rate", "rate_low", "best_validation_loss"} <= set(table.columns)


def searching(values: list[dict[str, float]]) -> pd.DataFrame:
    rows = [{"number": number, "learning_rate": 1 + number} for number in range(len(values))]
    return frame_of(rows).assign(searched=values)


def test_what_is_searched_is_cut_as_soon_as_two_values_have_ended() -> None:
    assert divergence_by_factor(searching([{"beta2": 0.99}])).empty
    assert divergence_by_factor(searching([{"beta2": 0.99}] * 3)).empty  # runs of one setting
    running = searching([{"beta2": 0.99}, {"beta2": 0.9}]).assign(outcome=["trained", None])
    assert divergence_by_factor(running).empty
    table = divergence_by_factor(searching([{"beta2": 0.99}, {"beta2": 0.9}]))
    assert table["runs"].sum() == 2
    ends = [text.split(" to ") for text in table["value"]]
    assert (ends[0][0], ends[-1][-1]) == ("0.9", "0.99")


def test_parts_of_a_range_are_told_apart_however_near_to_one_or_to_zero_they_are() -> None:
    lacks = 10.0 ** -np.linspace(4, 7, 12)
    table = divergence_by_factor(searching([{"beta2": 1 - lack, "epsilon": lack * 1e-5} for lack in lacks]))
    for name, first, last in (("beta2", 0.9999, 0.9999999), ("epsilon", 1e-12, 1e-9)):
        ends = [[float(end) for end in text.split(" to ")] for text in table.loc[table["factor"] == name, "value"]]
        assert len(ends) == 4
        assert all(low < high for low, high in ends)
        assert (ends[0][0], ends[-1][1]) == (first, last)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"beta2": 0.99996}, "beta2 0.99996"),
        ({"beta2": 0.9999995, "beta1": 0.9}, "beta1 0.9, beta2 0.9999995"),
        ({"momentum": 1 - 1.23456e-5}, "momentum 0.99998765"),
        ({"beta1": 0.0, "epsilon": 1.23456e-9}, "beta1 0.0, epsilon 1.235e-09"),
        ({"weight_decay": 2.0}, "weight_decay 2"),
        (None, ""),
    ],
)
def test_what_lies_near_one_is_not_rounded_to_one(values: dict[str, float] | None, words: str) -> None:
    assert searched_in_words(values) == words
