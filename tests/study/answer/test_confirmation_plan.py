import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from confirmations import simulate
from scipy.stats import beta, betabinom, binom
from simulated import INITIAL_LOSS, frame_of, simulated_trials

from gradstudy.study.answer.confidence_sequence import PRIOR_DIVERGED, PRIOR_KEPT, anytime_interval
from gradstudy.study.answer.confirmation_plan import Chosen, choose, confirmation_table, further_runs, plan_round
from gradstudy.study.answer.fresh_runs import recommend_confirmed
from gradstudy.study.answer.recommendation import Recommendation, recommend
from gradstudy.study.frontier.table import frontier
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


def test_the_best_settings_of_different_strategies_are_chosen_with_a_step_on_each_side() -> None:
    trials = simulated_trials(300, strategies=("norm", "none"), cells=("lstm", "gru"))
    best = recommend(trials)
    assert best is not None
    chosen = choose(trials, frontier(trials), 3)
    assert len(chosen) == 9
    assert len({(setting.cell, setting.strategy) for setting in chosen}) == 3
    assert [setting.learning_rate for setting in chosen[:3]] == pytest.approx(
        [best.setting.learning_rate, best.setting.learning_rate / 2, best.setting.learning_rate * 2], rel=0.01
    )
    assert chosen[0].number == best.setting.number


CHOSEN = [
    Chosen(cell="lstm", strategy="norm", threshold=1.0, learning_rate=rate, multiple=rate, number=7)
    for rate in (1.0, 0.5, 2.0)
]


def confirmed(*counts: tuple[int, int, float]) -> Recommendation | None:
    """For each setting: kept runs, diverged runs, validation loss of those that are kept."""
    rows: list[dict[str, Any]] = []
    for setting, (kept, diverged, loss) in zip(CHOSEN, counts, strict=True):
        rows += [{"learning_rate": setting.learning_rate, "validation_loss": loss}] * kept
        lost = {"outcome": "diverged", "validation_loss": None}
        rows += [{"learning_rate": setting.learning_rate, **lost}] * diverged
    fresh = frame_of({"seed": number, **row} for number, row in enumerate(rows))
    return recommend_confirmed(confirmation_table(CHOSEN, fresh), fresh, frontier(fresh.iloc[:0]), INITIAL_LOSS)


def test_the_recommendation_rests_on_fresh_runs() -> None:
    best = confirmed((30, 0, 2.0), (30, 0, 2.5), (10, 20, 1.0))
    assert best is not None
    assert (best.evidence.confirmed, best.evidence.firm, best.setting.learning_rate, best.setting.number) == (
        True,
        True,
        1.0,
        7,
    )
    assert (best.evidence.runs, best.evidence.diverged, best.evidence.seeds, best.evidence.validation_loss) == (
        30,
        0,
        30,
        pytest.approx(2.0),
    )
    assert (best.evidence.rate_low, best.evidence.rate_high) == anytime_interval(0, 30, 3)
    assert best.evidence.around[1].startswith("At learning rate 2, 20 of 30 fresh runs diverged")


def test_a_setting_that_fresh_runs_show_to_be_unsafe_is_not_recommended() -> None:
    best = confirmed((20, 10, 1.0), (30, 0, 2.0), (0, 30, 9.0))
    assert best is not None
    assert (best.evidence.firm, best.setting.learning_rate, best.setting.number) == (True, 0.5, None)


def test_a_higher_learning_rate_that_is_safe_and_better_is_recommended_with_a_caution() -> None:
    best = confirmed((30, 0, 2.0), (30, 0, 3.0), (30, 0, 1.0))
    assert best is not None
    assert best.setting.learning_rate == 2.0
    assert any("highest learning rate that was confirmed" in caution for caution in best.evidence.cautions)


def test_where_none_is_safe_the_best_guess_is_provisional() -> None:
    best = confirmed((20, 10, 1.0), (24, 6, 1.0), (5, 25, 1.0))
    assert best is not None
    assert (best.evidence.firm, best.setting.learning_rate) == (False, 0.5)
    assert best.evidence.cautions[0].startswith("The fresh runs cannot rule out")
    assert confirmed((0, 9, 1.0), (0, 9, 1.0), (0, 9, 1.0)) is None


@pytest.mark.slow
def test_the_stated_upper_bound_holds_in_95_percent_of_repetitions() -> None:
    edges: list[dict[str, float]] = [{"slope": 8.0}, {"slope": 3.0}, {"slope": 4.0, "floor": 0.1}]
    made = [simulate(seed, runs=40, **edge) for edge in edges for seed in range(7)]
    outcomes = [outcome for outcome in made if outcome is not None]
    assert len(outcomes) >= 15
    held = [outcome.rate_after <= outcome.after.evidence.rate_high for outcome in outcomes]
    assert np.mean(held) >= 0.95
    assert all(outcome.after.evidence.rate_high <= 0.2 for outcome in outcomes if outcome.after.evidence.firm)
    assert np.mean([outcome.after.evidence.firm for outcome in outcomes]) > 0.5
