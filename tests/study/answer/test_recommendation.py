from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulated import frame_of, simulated_trials

from gradstudy.study.answer.neighbours import neighbourhoods, neighbours_of
from gradstudy.study.answer.recommendation import ACCEPTABLE_UPPER_BOUND, MARGIN, Recommendation, recommend
from gradstudy.study.statistics.rates import wilson_interval


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    """Trials that differ from a trained LSTM with clipping by norm 1 at learning rate 1 in what is given."""
    return frame_of({"number": number, "seed": number, **row} for number, row in enumerate(rows))


def best_of(*rows: dict[str, Any]) -> Recommendation:
    best = recommend(frame(*rows))
    assert best is not None
    return best


LOST = {"outcome": "diverged", "validation_loss": None}
SAFE = [{"learning_rate": 0.1 + loss / 1e6, "validation_loss": 2.0 + loss / 10} for loss in range(3)]


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
    best = best_of(*SAFE, {"validation_loss": 0.1}, {"learning_rate": 1.1, **LOST}, {"learning_rate": 2.0, **LOST})
    assert (best.setting.number, best.evidence.validation_loss) == (0, 2.0)
    assert (best.evidence.runs, best.evidence.diverged) == (3, 0)
    assert (best.evidence.rate_low, best.evidence.rate_high) == wilson_interval(0, 3)


def test_a_slightly_better_loss_does_not_make_up_for_thin_evidence() -> None:
    # Expected: 2.4 against 1/3 * 4 + 2/3 * 1.9 = 2.6.
    assert best_of(*SAFE, {"validation_loss": 1.9}).setting.number == 0


def test_a_much_better_loss_makes_up_for_thin_evidence() -> None:
    # Expected: 2.4 against 1/3 * 4 + 2/3 * 1.0 = 2.0.
    best = best_of(*SAFE, {"validation_loss": 1.0})
    assert (best.setting.number, best.evidence.runs) == (3, 1)


def test_among_settings_with_equal_evidence_the_best_loss_wins() -> None:
    others = ({"learning_rate": 1 + loss, "validation_loss": loss} for loss in (0.2, 0.1, 0.3))
    assert best_of(*SAFE, *others).setting.number == 4


def test_neighbours_are_found_as_a_plain_loop_finds_them() -> None:
    trials = simulated_trials(300, edges=(0.5,) * 4, cells=("gru", "lstm"), strategies=("norm", "none"))
    for row in neighbourhoods(trials).to_dict("records"):
        near = [
            other
            for other in trials.to_dict("records")
            if (other["cell"], other["strategy"]) == (row["cell"], row["strategy"])
            and abs(np.log10(other["learning_rate"] / row["learning_rate"])) <= 0.5
            and (np.isnan(row["threshold"]) or abs(np.log10(other["threshold"] / row["threshold"])) <= 0.5)
        ]
        assert row["neighbours"] == len(near) == len(neighbours_of(trials, pd.Series(row)))
        assert row["neighbours_diverged"] == sum(other["outcome"] == "diverged" for other in near)


MANY = [{"learning_rate": 0.1 * 1.05**n, "validation_loss": 2.0 + n / 100} for n in range(16)]
"""Sixteen runs without a divergence: an upper bound of 19%."""


def test_sixteen_neighbours_without_divergence_make_a_firm_recommendation() -> None:
    best = best_of(*MANY)
    assert (best.evidence.firm, best.setting.number, best.evidence.runs, best.evidence.seeds) == (True, 0, 16, 16)
    assert best.evidence.rate_high <= ACCEPTABLE_UPPER_BOUND


def test_one_run_less_is_not_enough() -> None:
    best = best_of(*MANY[:15])
    assert not best.evidence.firm
    assert "thin" in best.evidence.cautions[0]


def test_a_much_better_loss_with_thin_evidence_does_not_beat_a_firm_setting() -> None:
    best = best_of(*MANY, {"learning_rate": 10.0, "validation_loss": 0.01})
    assert (best.evidence.firm, best.setting.number) == (True, 0)


def test_a_setting_near_the_frontier_is_not_recommended_though_its_loss_is_best() -> None:
    trials = simulated_trials(400, slope=12.0)
    best = recommend(trials)
    assert best is not None
    assert best.evidence.firm
    assert best.frontier is not None
    assert best.frontier.low is not None
    assert best.setting.learning_rate <= best.frontier.learning_rate / MARGIN
    assert best.setting.learning_rate <= best.frontier.low
    lowest = trials.loc[trials["validation_loss"].idxmin()]
    assert lowest["learning_rate"] > best.frontier.learning_rate / MARGIN


def test_what_speaks_against_a_setting_is_said() -> None:
    clipped = best_of(*({**row, "clipped_fraction": 0.8} for row in MANY))
    assert any(sentence.startswith("80% of the updates near it are clipped") for sentence in clipped.evidence.cautions)
    always = [{**row, "strategy": "normalize", "clipped_fraction": 1.0} for row in MANY]
    assert not any("clipped" in sentence for sentence in best_of(*always).evidence.cautions)
    assert any("a larger one may train faster" in sentence for sentence in best_of(*MANY).evidence.cautions)


@pytest.mark.parametrize("outcome", ["diverged", "stalled", "failed", None])
def test_nothing_is_recommended_when_nothing_trained(outcome: str | None) -> None:
    assert recommend(frame({"outcome": outcome}, {"outcome": outcome})) is None


def test_nothing_is_recommended_of_no_trials() -> None:
    assert recommend(frame()) is None


def test_the_recommendation_has_code_to_paste() -> None:
    best = best_of({"threshold": 0.123456})
    assert best.pytorch == "torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.123)"
    assert best.setting.threshold == 0.123456


def test_a_strategy_without_threshold_can_be_recommended() -> None:
    best = best_of({"strategy": "none", "threshold": None})
    assert best.setting.threshold is None
    assert "no clipping" in best.pytorch


def test_a_setting_is_judged_by_the_mean_over_its_seeds_of_which_a_diverged_one_counts_as_untrained() -> None:
    lucky = [{"learning_rate": 0.1, "validation_loss": 1.6}, {"learning_rate": 0.1, **LOST}]
    steady = [{"learning_rate": 0.2, "validation_loss": loss} for loss in (1.6, 2.0)]
    near = neighbourhoods(frame(*lucky, *steady)).set_index("learning_rate")
    assert near["loss"].to_dict() == {0.1: (1.6 + 4.0) / 2, 0.2: pytest.approx(1.8)}
    assert near["validation_loss"].to_dict() == {0.1: 1.6, 0.2: pytest.approx(1.8)}
    best = best_of(*lucky, *steady)
    assert (best.setting.learning_rate, best.evidence.validation_loss, best.evidence.replicates) == (
        0.2,
        pytest.approx(1.8),
        2,
    )


def test_replicates_of_neighbours_count_once_and_those_of_the_setting_itself_each() -> None:
    rows = [{"learning_rate": 0.1, "validation_loss": 1.0}] * 4
    rows += [{"learning_rate": 0.2}] * 2 + [{"learning_rate": 0.2, **LOST}] * 2 + [{"learning_rate": 0.25}] * 4
    best = best_of(*rows)
    assert (best.setting.number, best.evidence.runs, best.evidence.diverged, best.evidence.settings) == (0, 12, 2, 3)
    assert (best.evidence.rate_low, best.evidence.rate_high) == pytest.approx(wilson_interval(0.5, 4 + 2))
