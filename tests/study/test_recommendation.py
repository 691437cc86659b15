from typing import Any

import pandas as pd
import pytest

from gradstudy.study.recommendation import Recommendation, neighbourhoods, recommend
from gradstudy.study.statistics import wilson_interval


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    """Trials that differ from a trained LSTM with clipping by norm 1 at learning rate 1 in what is given."""
    usual = {
        "cell": "lstm",
        "strategy": "norm",
        "threshold": 1.0,
        "learning_rate": 1.0,
        "outcome": "trained",
        "validation_loss": 2.0,
        "initial_validation_loss": 4.0,
    }
    trials = pd.DataFrame([usual | row for row in rows], columns=list(usual))
    trials["threshold"] = trials["threshold"].astype(float)
    return trials.assign(number=range(len(trials)))


def best_of(*rows: dict[str, Any]) -> Recommendation:
    best = recommend(frame(*rows))
    assert best is not None
    return best


LOST = {"outcome": "diverged", "validation_loss": None}
SAFE = [{"learning_rate": 0.1, "validation_loss": 2.0 + loss / 10} for loss in range(3)]


def test_neighbours_lie_within_half_a_decade_of_learning_rate_and_threshold() -> None:
    trials = frame(
        {},
        {"learning_rate": 3.0},
        {"learning_rate": 3.3},
        {"threshold": 0.33, **LOST},
        {"threshold": 0.3},
        {"learning_rate": 0.4, "threshold": 2.0, "outcome": "stalled"},
        {"cell": "gru"},
        {"strategy": "value"},
        {"outcome": "failed"},
    )
    near = neighbourhoods(trials).set_index("number")
    assert near.loc[0, ["neighbours", "neighbours_diverged"]].tolist() == [4, 1]
    assert near.loc[6, ["neighbours", "neighbours_diverged"]].tolist() == [1, 0]
    assert sorted(near.index) == [0, 1, 2, 4, 6, 7]


def test_without_thresholds_learning_rates_alone_make_neighbours() -> None:
    no_threshold = {"strategy": "none", "threshold": None}
    near = neighbourhoods(frame(no_threshold, {"learning_rate": 2.0, **no_threshold}, {"strategy": "norm"}))
    assert near.set_index("number")["neighbours"].to_dict() == {0: 2, 1: 2, 2: 1}


def test_a_better_loss_does_not_make_up_for_neighbours_that_diverged() -> None:
    # Expected: 1/5 * 4 + 4/5 * 2.0 = 2.4 against 3/5 * 4 + 2/5 * 0.1 = 2.44.
    best = best_of(*SAFE, {"validation_loss": 0.1}, LOST, {"learning_rate": 2.0, **LOST})
    assert (best.number, best.validation_loss) == (0, 2.0)
    assert (best.runs, best.diverged) == (3, 0)
    assert (best.rate_low, best.rate_high) == wilson_interval(0, 3)


def test_a_slightly_better_loss_does_not_make_up_for_thin_evidence() -> None:
    # Expected: 2.4 against 1/3 * 4 + 2/3 * 1.9 = 2.6.
    assert best_of(*SAFE, {"validation_loss": 1.9}).number == 0


def test_a_much_better_loss_makes_up_for_thin_evidence() -> None:
    # Expected: 2.4 against 1/3 * 4 + 2/3 * 1.0 = 2.0.
    best = best_of(*SAFE, {"validation_loss": 1.0})
    assert (best.number, best.runs) == (3, 1)


def test_among_settings_with_equal_evidence_the_best_loss_wins() -> None:
    assert best_of(*SAFE, {"validation_loss": 0.2}, {"validation_loss": 0.1}, {"validation_loss": 0.3}).number == 4


@pytest.mark.parametrize("outcome", ["diverged", "stalled", "failed", None])
def test_nothing_is_recommended_when_nothing_trained(outcome: str | None) -> None:
    assert recommend(frame({"outcome": outcome}, {"outcome": outcome})) is None


def test_nothing_is_recommended_of_no_trials() -> None:
    assert recommend(frame()) is None


def test_the_recommendation_has_code_to_paste() -> None:
    best = best_of({"threshold": 0.123456})
    assert best.pytorch == "torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.123)"
    assert best.threshold == 0.123456


def test_a_strategy_without_threshold_can_be_recommended() -> None:
    best = best_of({"strategy": "none", "threshold": None})
    assert best.threshold is None
    assert "no clipping" in best.pytorch
