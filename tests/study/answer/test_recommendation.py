from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from simulated import INITIAL_LOSS, appraised, frame_of, simulated_trials

from gradstudy.study.answer.confidence_sequence import anytime_interval
from gradstudy.study.answer.recommendation import Recommendation, recommend
from gradstudy.study.frontier.table import frontier

LOST = {"outcome": "diverged", "reason": "blow_up", "validation_loss": None, "final_loss": 20.0}


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    """Trials that differ from a trained LSTM with clipping by norm 1 at learning rate 1 in what is given."""
    return frame_of({"number": number, "seed": number, **row} for number, row in enumerate(rows))


def answer(trials: pd.DataFrame, sampler: str = "qmc", confirming: pd.DataFrame | None = None) -> Recommendation | None:
    spec = {"steps": 200, "optimizer": "sgd", "guard": False}
    return recommend(appraised(trials, sampler, confirming), frontier(trials), spec)


def answer_of(trials: pd.DataFrame, sampler: str = "qmc", confirming: pd.DataFrame | None = None) -> Recommendation:
    best = answer(trials, sampler, confirming)
    assert best is not None
    return best


def true_loss(decade: float, edge: float = 0.5, slope: float = 12.0) -> float:
    """J of the simulated runs: they learn the faster the higher the learning rate, and a diverged one is untrained."""
    risk = float(expit(slope * (decade - edge)))
    return risk * INITIAL_LOSS + (1 - risk) * (INITIAL_LOSS - 0.5 * (decade + 2.0))


@pytest.mark.parametrize("seed", range(4))
def test_the_answer_is_about_as_good_as_any_safe_setting(seed: int) -> None:
    best = answer_of(simulated_trials(150, slope=12.0, seed=seed))
    safe = np.linspace(-2, 0.5 + np.log(0.1 / 0.9) / 12, 200)
    lowest = min(true_loss(decade) for decade in safe)
    decade = float(np.log10(best.setting.learning_rate))
    assert expit(12.0 * (decade - 0.5)) <= 0.2
    assert true_loss(decade) - lowest < 0.05 * INITIAL_LOSS


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_of_the_expected_loss_holds_the_true_one(seed: int) -> None:
    found = answer_of(simulated_trials(150, slope=12.0, seed=seed))
    assert (
        found.evidence.loss_low <= true_loss(float(np.log10(found.setting.learning_rate))) <= found.evidence.loss_high
    )
    assert found.evidence.risk_low <= found.evidence.risk <= found.evidence.risk_high


def test_without_fresh_runs_it_is_provisional_however_many_runs_there_are() -> None:
    best = answer_of(simulated_trials(400, slope=12.0))
    assert (best.evidence.fresh, best.evidence.confirmed, best.evidence.firm) == (None, False, False)
    assert best.evidence.steps == 200


CHOSEN = {"learning_rate": 0.9, "validation_loss": 2.0}


def with_fresh(kept: int, lost: int) -> pd.DataFrame:
    """A study whose sampler ran one setting again, of which some runs diverged."""
    searched = simulated_trials(80, slope=12.0)
    again = frame(*[CHOSEN] * (kept + 1), *[CHOSEN | LOST] * lost)
    return pd.concat([searched, again.assign(number=again["number"] + 80)], ignore_index=True)


def test_the_fresh_runs_are_those_after_the_first_of_their_setting() -> None:
    best = answer_of(with_fresh(18, 0), "auto")
    fresh = best.evidence.fresh
    assert fresh is not None
    assert (best.setting.learning_rate, fresh.runs, fresh.diverged) == (0.9, 18, 0)
    assert (fresh.rate_low, fresh.rate_high) == anytime_interval(0, 18)
    assert (fresh.loss, fresh.spread) == (pytest.approx(2.0), pytest.approx(0.0))
    assert best.evidence.firm


def test_with_another_sampler_replicates_are_no_fresh_runs() -> None:
    assert answer_of(with_fresh(18, 0), "tpe").evidence.fresh is None


def test_fresh_runs_that_diverge_take_the_confirmation_away() -> None:
    best = answer_of(with_fresh(12, 6), "auto")
    assert not best.evidence.firm
    fresh = best.evidence.fresh
    assert fresh is not None
    assert fresh.loss == pytest.approx((12 * 2.0 + 6 * INITIAL_LOSS) / 18)


def test_runs_of_a_confirmation_are_fresh_ones_too() -> None:
    trials = simulated_trials(80, slope=12.0)
    best = answer_of(trials, confirming=frame(*[CHOSEN] * 20))
    assert best.evidence.fresh is not None
    assert (best.setting.learning_rate, best.setting.number, best.evidence.fresh.runs) == (0.9, None, 20)


def test_a_setting_with_two_lucky_fresh_runs_does_not_win_over_one_with_twenty() -> None:
    trials = simulated_trials(80, slope=12.0)
    fresh = frame(*[CHOSEN] * 20, *[{"learning_rate": 0.8, "validation_loss": 1.9}] * 2)
    best = answer_of(trials, confirming=fresh)
    assert best.setting.learning_rate == 0.9
    assert best.evidence.rival is None  # the other one differs in the learning rate only


def test_fresh_runs_at_half_and_twice_the_learning_rate_are_beside_the_answer() -> None:
    others = [{"learning_rate": rate, "validation_loss": 2.6} for rate in (0.45, 1.8) for _ in range(4)]
    best = answer_of(simulated_trials(80, slope=12.0), confirming=frame(*[CHOSEN] * 20, *others))
    assert [(runs.learning_rate, runs.runs) for runs in best.evidence.beside] == [(0.45, 4), (1.8, 4)]


def test_the_runner_up_is_the_better_one_half_of_the_time_where_both_are_alike() -> None:
    random = np.random.default_rng(3)
    rows = [
        {"strategy": name, "threshold": None, "learning_rate": 0.9, "validation_loss": 2.0 + random.normal(0, 0.05)}
        for name in ("none", "standardize")
        for _ in range(20)
    ]
    spread = simulated_trials(120, slope=12.0, strategies=("none", "standardize"))
    best = answer_of(spread, confirming=frame(*rows))
    rival = best.evidence.rival
    assert rival is not None
    assert {best.setting.strategy, rival.setting.strategy} == {"none", "standardize"}
    assert 0.05 < rival.probability < 0.95


def test_the_usable_learning_rates_hold_the_chosen_one_and_end_below_the_edge() -> None:
    best = answer_of(simulated_trials(300, slope=12.0))
    assert best.evidence.usable_low <= best.setting.learning_rate * 1.1
    assert best.evidence.usable_high >= best.setting.learning_rate / 1.1
    assert best.evidence.usable_high < 10**0.5


def test_a_constant_added_to_a_likelihood_changes_no_answer() -> None:
    trials = simulated_trials(120, slope=12.0)
    losses = ["initial_loss", "final_loss", "validation_loss", "initial_validation_loss"]
    shifted = trials.assign(**{name: trials[name] - 50.0 for name in losses})
    lower = trials.assign(**{name: trials[name] - 500.0 for name in losses})
    assert answer_of(shifted).setting == answer_of(lower).setting


def test_losses_of_different_data_are_compared_as_shares_of_the_untrained_loss() -> None:
    raw = {"factors": {"standardize": False}, "initial_validation_loss": 1000.0, "validation_loss": 100.0}
    scaled = {"factors": {"standardize": True}, "initial_validation_loss": 1.0, "validation_loss": 0.5}
    best = answer_of(frame(*[raw if number % 2 else scaled for number in range(40)]))
    assert best.setting.factors == "standardize false"
    assert 100 <= best.evidence.loss < 500


def test_no_run_above_the_frontier_is_said_to_bound_it_only() -> None:
    kept = [{"learning_rate": 0.1 * 1.2**n, "validation_loss": 2.0} for n in range(12)]
    cautions = answer_of(frame(*kept)).evidence.cautions
    assert any(caution.startswith("No run above it diverged") for caution in cautions)
    assert "Learning rates below 0.1 were not tried with this cell and strategy, and may be better." in cautions


def test_where_no_risk_is_acceptable_the_answer_says_so() -> None:
    random = np.random.default_rng(0)
    rows = [
        {"learning_rate": 10**decade, **(LOST if n % 2 else {})} for n, decade in enumerate(random.uniform(-2, 2, 60))
    ]
    best = answer_of(frame(*rows))
    assert best.evidence.safe < 0.8
    assert best.evidence.cautions[0].startswith("No setting is known to diverge in at most 10% of runs")


@pytest.mark.parametrize("outcome", ["diverged", "stalled", "failed", None])
def test_nothing_is_recommended_when_nothing_trained(outcome: str | None) -> None:
    assert answer(frame({"outcome": outcome}, {"outcome": outcome})) is None


def test_nothing_is_recommended_of_no_trials() -> None:
    assert answer(frame()) is None


def test_one_run_that_trained_is_recommended_with_code_to_paste() -> None:
    best = answer_of(frame({"threshold": 0.123456}))
    assert "torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.123)" in best.pytorch
    assert best.setting.threshold == 0.123456


def test_the_expected_loss_of_a_group_is_not_that_of_its_luckiest_run() -> None:
    random = np.random.default_rng(5)
    rows = [
        {"learning_rate": 10 ** random.uniform(-1, 0), "validation_loss": 2.0 + random.normal(0, 0.3)}
        for _ in range(60)
    ]
    trials = frame(*rows)
    expected = float(appraised(trials).by_group()["expected_loss"].iloc[0])
    assert abs(expected - 2.0) < abs(trials["validation_loss"].min() - 2.0) / 2


def test_the_code_has_the_factors_of_the_answer_not_the_spec() -> None:
    trials = frame(
        *[{"factors": {"optimizer": name}, "validation_loss": loss} for name, loss in (("adam", 1.0), ("sgd", 3.0))]
    )
    assert "torch.optim.Adam" in answer_of(trials).pytorch
