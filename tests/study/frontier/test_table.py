import numpy as np
import pandas as pd
import pytest
from simulated import THRESHOLDS, frame_of, simulated_trials

from gradstudy.study.frontier.table import ABOVE, BELOW, BRACKETED, TOO_FEW, frontier

TEN_PERCENT = np.log(9)
"""How far below the middle of a logistic curve its 10% is, in log odds."""


def errors(studies: int, runs: int, slope: float, edges: tuple[float, ...] = (0.5,)) -> pd.DataFrame:
    """Estimated less true frontier in decades, and whether the interval holds the truth."""
    found = []
    truth = dict(zip([0.01, 0.1, 1.0, 10.0], np.array(edges) - TEN_PERCENT / slope, strict=False))
    for seed in range(studies):
        table = frontier(simulated_trials(runs, edges=edges, slope=slope, seed=seed))
        for row in table.to_dict("records"):
            true = truth[min(truth, key=lambda edge: abs(np.log(edge / row["threshold_bin"])))]
            low, high = np.log10(row["frontier_low"]), np.log10(row["frontier_high"])
            covered = not (low > true) and not (high < true)  # an open end holds everything on its side
            found.append((np.log10(row["frontier"]) - true, covered))
    return pd.DataFrame(found, columns=["error", "covered"])


@pytest.mark.sampled
@pytest.mark.parametrize("slope", [4.0, 8.0, 16.0])
def test_the_frontier_of_a_logistic_edge_is_recovered_without_bias(slope: float) -> None:
    found = errors(60, 200, slope)
    assert found["error"].notna().all()
    assert abs(found["error"].mean()) < 3 * found["error"].std() / np.sqrt(60) + 0.01
    assert found["covered"].mean() > 0.88


@pytest.mark.soak
def test_with_forty_runs_the_bias_is_small_beside_the_spread() -> None:
    found = errors(200, 40, 8.0)
    assert abs(found["error"].mean()) < 0.25 * found["error"].std() + 0.02
    assert found["covered"].mean() > 0.87


def test_each_threshold_has_a_frontier_of_its_own() -> None:
    found = errors(30, 400, 8.0, edges=(1.0, 0.5, 0.0, -0.5))
    assert abs(found["error"].mean()) < 0.05
    assert found["error"].std() < 0.2


def test_one_run_that_diverged_far_below_the_edge_does_not_move_it_far() -> None:
    trials = simulated_trials(60)
    lowest = trials["learning_rate"].idxmin()
    before = frontier(trials)["frontier"].iloc[0]
    after = frontier(trials.assign(outcome=trials["outcome"].mask(trials.index == lowest, "diverged")))[
        "frontier"
    ].iloc[0]
    assert abs(np.log10(after / before)) < 0.2


@pytest.mark.parametrize(("outcome", "status"), [("trained", ABOVE), ("stalled", ABOVE), ("diverged", BELOW)])
def test_what_lies_outside_of_the_learning_rates_tried_is_not_bracketed(outcome: str, status: str) -> None:
    row = frontier(simulated_trials(40).assign(outcome=outcome)).iloc[0]
    assert row["status"] == status
    assert np.isnan(row["frontier"])
    assert np.isnan(row["frontier_high" if status == ABOVE else "frontier_low"])


def test_an_edge_beyond_the_learning_rates_tried_is_not_bracketed() -> None:
    assert frontier(simulated_trials(200, edges=(3.0,)))["status"].tolist() == [ABOVE]
    assert frontier(simulated_trials(200, edges=(-3.0,)))["status"].tolist() == [BELOW]


def test_a_few_runs_have_no_frontier() -> None:
    row = frontier(simulated_trials(7)).iloc[0]
    assert (row["status"], row["runs"]) == (TOO_FEW, 7)
    assert np.isnan(row["frontier"])


def test_kept_and_diverged_runs_that_do_not_overlap_have_a_frontier_between_them() -> None:
    rates = np.geomspace(0.01, 100, 20)
    trials = frame_of({"learning_rate": rate, "outcome": "diverged" if rate > 2 else "trained"} for rate in rates)
    row = frontier(trials).iloc[0]
    assert row["status"] == BRACKETED
    assert 0.5 < row["frontier"] < 2.5
    assert row["frontier_low"] < row["frontier"] < row["frontier_high"]


def test_every_run_is_counted_once_and_bins_are_those_of_the_thresholds() -> None:
    trials = simulated_trials(200, edges=(0.5,) * 4, cells=("gru", "lstm"), strategies=("norm", "none"))
    failed = trials.assign(outcome=trials["outcome"].mask(trials["number"] < 10, "failed"))
    table = frontier(failed)
    assert table["runs"].sum() == 190
    assert table["diverged"].sum() == (failed["outcome"] == "diverged").sum()
    norm = table[(table["cell"] == "gru") & (table["strategy"] == "norm")]
    assert norm["threshold_bin"].tolist() == pytest.approx(THRESHOLDS)
    assert table[table["strategy"] == "none"]["threshold_bin"].isna().all()


def test_the_same_trials_give_the_same_frontier() -> None:
    trials = simulated_trials(50)
    pd.testing.assert_frame_equal(frontier(trials), frontier(trials))


def test_of_no_trials_there_is_no_frontier() -> None:
    table = frontier(simulated_trials(3).iloc[:0])
    assert table.empty
    assert {"frontier", "status", "threshold_bin"} <= set(table.columns)
