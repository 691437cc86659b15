import math

import numpy as np
import pandas as pd
import pytest
from confirmations import simulate
from scipy.stats import beta, betabinom, binom
from simulated import INITIAL_LOSS, appraised, frame_of, recommended, simulated_trials

from gradstudy.study.answer.confidence_sequence import PRIOR_DIVERGED, PRIOR_KEPT, anytime_interval
from gradstudy.study.answer.confirmation_plan import Chosen, choose, confirmation_table, further_runs, plan_round
from gradstudy.study.statistics.rates import wilson_interval

RATES = (0.01, 0.1, 0.5)


@pytest.mark.parametrize(("diverged", "runs", "settings"), [(0, 23, 3), (4, 30, 1), (30, 30, 2), (1, 2, 6)])
def test_the_ends_are_where_the_bet_has_won_settings_over_five_percent(diverged: int, runs: int, settings: int) -> None:
    for end in anytime_interval(diverged, runs, settings):
        if 0 < end < 1:
            won = betabinom.pmf(diverged, runs, PRIOR_DIVERGED, PRIOR_KEPT) / binom.pmf(diverged, runs, end)
            assert won == pytest.approx(settings / 0.05, rel=1e-6)
    if diverged == 0:  # closed form: (1 - p)^n = 0.05 / settings * E[(1 - p)^n]
        average = math.exp(math.lgamma(PRIOR_KEPT + runs) + math.lgamma(PRIOR_DIVERGED + PRIOR_KEPT)
                           - math.lgamma(PRIOR_KEPT) - math.lgamma(PRIOR_DIVERGED + PRIOR_KEPT + runs))  # fmt: skip
        expected = 1 - (0.05 / settings * average) ** (1 / runs)
        assert anytime_interval(0, runs, settings) == (0.0, pytest.approx(expected))


@pytest.mark.parametrize("rate", RATES)
def test_it_holds_at_every_look_where_a_fixed_interval_does_not(rate: float) -> None:
    runs = 150
    lost = np.random.default_rng(7).random((1000, runs)) < rate
    counts = lost.cumsum(axis=1)
    ever_out = np.zeros(len(lost), bool)
    ever_out_fixed = np.zeros(len(lost), bool)
    for n in range(1, runs + 1):
        ends = np.array([anytime_interval(k, n) for k in range(n + 1)])[counts[:, n - 1]]
        fixed = np.array([wilson_interval(k, n) for k in range(n + 1)])[counts[:, n - 1]]
        ever_out |= (rate < ends[:, 0]) | (rate > ends[:, 1])
        ever_out_fixed |= (rate < fixed[:, 0]) | (rate > fixed[:, 1])
    assert ever_out.mean() <= 0.05
    assert ever_out_fixed.mean() > 0.05


def test_it_costs_less_than_twice_the_runs_of_an_exact_bound_that_one_looks_at_once() -> None:
    once = next(n for n in range(1, 100) if beta.ppf(1 - 0.05 / 3, 1, n) <= 0.2)  # Clopper and Pearson, 3 settings
    assert once <= further_runs(0, 0, 3, 0.2) < 2 * once


def test_a_round_settles_what_goes_on_as_before() -> None:
    for diverged, runs in [(0, 0), (1, 23), (3, 23), (12, 23), (23, 23)]:
        more = further_runs(diverged, runs, 3, 0.2)
        kept = anytime_interval(diverged, runs + more, 3)
        lost = anytime_interval(diverged + more, runs + more, 3)
        assert kept[1] - kept[0] <= 0.2 or lost[0] > 0.2
    assert further_runs(0, 23, 3, 0.2) == further_runs(23, 23, 3, 0.2) == 0


def test_the_last_runs_go_to_the_chosen_setting_first() -> None:
    table = pd.DataFrame({"diverged": [1, 0, 1], "runs": [23, 23, 23]})
    assert plan_round(table, 0.2, 200) == {0: 14, 2: 14}
    assert plan_round(table, 0.2, 20) == {0: 14, 2: 6}
    assert plan_round(table, 0.2, 0) == {}


def test_the_best_settings_of_different_strategies_are_chosen_with_a_step_on_each_side_and_their_rival() -> None:
    trials = simulated_trials(300, strategies=("norm", "none"), cells=("lstm", "gru"))
    best = recommended(trials)
    assert best is not None
    chosen = choose(appraised(trials), trials, 2)
    assert len(chosen) == 3 + 3 + 1
    assert len({(setting.cell, setting.strategy) for setting in chosen}) == 3
    assert [setting.learning_rate for setting in chosen[:3]] == pytest.approx(
        [best.setting.learning_rate, best.setting.learning_rate / 2, best.setting.learning_rate * 2], rel=0.01
    )
    assert (chosen[0].number, chosen[-1].multiple) == (best.setting.number, 1.0)


def test_the_table_of_a_confirmation_counts_diverged_runs_as_untrained() -> None:
    chosen = [Chosen(cell="lstm", strategy="norm", threshold=1.0, learning_rate=1.0, multiple=1.0, number=7)]
    lost = {"outcome": "diverged", "validation_loss": None}
    row = confirmation_table(chosen, frame_of([{"seed": 0}, {"seed": 1}, {"seed": 2, **lost}])).iloc[0]
    assert (row["runs"], row["diverged"], row["validation_loss"]) == (3, 1, 2.0)
    assert row["loss"] == pytest.approx((2.0 + 2.0 + INITIAL_LOSS) / 3)


@pytest.mark.soak
def test_the_stated_upper_bound_holds_in_95_percent_of_repetitions() -> None:
    edges: list[dict[str, float]] = [{"slope": 8.0}, {"slope": 3.0}, {"slope": 4.0, "floor": 0.1}]
    made = [simulate(seed, runs=40, **edge) for edge in edges for seed in range(7)]
    outcomes = [outcome for outcome in made if outcome is not None]
    assert len(outcomes) >= 15
    fresh = [outcome.after.evidence.fresh for outcome in outcomes]
    held = [runs and outcome.rate_after <= runs.rate_high for outcome, runs in zip(outcomes, fresh, strict=True)]
    assert np.mean(held) >= 0.95
    # Of one study in three no setting diverges in fewer than one run of ten.
    assert 0.3 < np.mean([outcome.after.evidence.firm for outcome in outcomes]) < 0.7
