"""What is predicted for a larger model, against trials whose law is known."""

import numpy as np
import pandas as pd
import pytest
from simulated import INITIAL_LOSS, RISE, appraised, frame_of, simulated_study

from gradstudy.study.frontier.table import frontier
from gradstudy.study.report.report import build_report
from gradstudy.study.scaling.law import BY_SIZE, EVEN, TRANSFERRED, Known, extrapolate
from gradstudy.study.scaling.prediction import scale_table
from gradstudy.study.scaling.words import scaled_in_words

WIDTHS = (32, 64, 128)
TARGET = 512
EDGE, BEST = 0.5, -0.4
"""Decades of learning rate at width 64: where runs diverge, and where they end lowest."""


def trials_with(slope: float, factors: dict[str, str] | None = None, seed: int = 0) -> pd.DataFrame:
    """Runs whose frontier and best learning rate change by so many decades for each decade of width."""
    random = np.random.default_rng(seed)
    rows = []
    for width in WIDTHS:
        moved = slope * np.log10(width / 64)
        for decade in np.arange(-2, 2, 0.1):
            away = decade - moved
            diverged = bool(away > EDGE + random.normal(0, 0.03))
            loss = 1.5 + 0.8 * (away - BEST) ** 2 + random.normal(0, 0.01)
            rows.append(
                {
                    "number": len(rows),
                    "seed": len(rows),
                    "learning_rate": 10**decade,
                    "outcome": "diverged" if diverged else "trained",
                    "reason": "blow_up" if diverged else None,
                    "diverged_at_step": 5 if diverged else None,
                    "validation_loss": np.nan if diverged else min(loss, INITIAL_LOSS),
                    "final_loss": INITIAL_LOSS * float(np.exp(min(RISE * (away - EDGE), 1.7))) if diverged else 2.0,
                    "factors": {"hidden_size": width, **(factors or {})},
                }
            )
    return frame_of(rows)


def predicted(trials: pd.DataFrame, parametrization: str = "standard") -> pd.DataFrame:
    spec = {"space": {"scale_to": {"hidden_size": TARGET}}, "model": {"parametrization": parametrization}}
    return scale_table(spec, frontier(trials), appraised(trials))


@pytest.mark.parametrize("slope", [0.0, -0.5, -1.0])
def test_frontier_and_best_learning_rate_follow_the_widths_tried(slope: float) -> None:
    row = predicted(trials_with(slope)).iloc[0]
    moved = slope * np.log10(TARGET / 64)
    assert np.log10(row["frontier"]) == pytest.approx(EDGE + moved, abs=0.15)
    assert np.log10(row["best_rate"]) == pytest.approx(BEST + moved, abs=0.2)
    assert row["frontier_low"] < 10 ** (EDGE + moved) < row["frontier_high"]
    assert row["best_rate_low"] < 10 ** (BEST + moved) < row["best_rate_high"]
    assert row["widths"] == "32, 64, 128"


def test_under_mup_learning_rates_are_held_to_be_those_of_the_smaller_models() -> None:
    trials = trials_with(-0.3)
    standard, mup = predicted(trials).iloc[0], predicted(trials, "mup").iloc[0]
    assert abs(mup["frontier_slope"]) < abs(standard["frontier_slope"])
    assert mup["frontier"] > standard["frontier"]


def test_each_choice_of_the_other_factors_is_predicted_for_itself() -> None:
    both = [
        trials_with(slope, {"parametrization": name}, seed)
        for seed, (name, slope) in enumerate([("mup", 0.0), ("standard", -0.8)])
    ]
    trials = pd.concat(both, ignore_index=True).assign(number=range(sum(map(len, both))))
    table = predicted(trials).set_index("factors")
    assert list(table.index) == ["parametrization mup", "parametrization standard"]
    assert table.loc["parametrization mup", "frontier"] > 2 * table.loc["parametrization standard", "frontier"]


def test_widths_that_show_no_frontier_leave_it_open() -> None:
    trials = trials_with(0.0)
    trials = trials[trials["outcome"] != "diverged"]
    row = predicted(trials).iloc[0]
    assert np.isnan(row["frontier"])
    assert np.isfinite(row["best_rate"])


def test_a_study_that_is_scaled_to_nothing_has_no_prediction() -> None:
    trials = trials_with(0.0)
    assert scale_table({"space": {}}, frontier(trials), appraised(trials)).empty
    assert scaled_in_words({"space": {}}, scale_table({"space": {}}, frontier(trials), appraised(trials))) == []


def test_the_line_is_that_of_least_squares_where_the_prior_says_little() -> None:
    widths, decades = np.array([10.0, 20.0, 80.0]), np.array([0.1, -0.2, -0.4])
    sds = np.full(3, 0.05)
    found = extrapolate(widths, decades, sds, 160.0, Known(0.0, 1e3, 0.0, 0.0, 0.0))
    slope, level = np.polyfit(np.log10(widths), decades, 1)
    assert found.slope == pytest.approx(slope, rel=1e-4)
    assert found.decades == pytest.approx(level + slope * np.log10(160), rel=1e-4)


def test_with_adam_the_line_bends_towards_one_over_the_width() -> None:
    widths, decades, sds = np.array([32.0, 64.0, 128.0]), np.array([0.1, 0.05, 0.0]), np.full(3, 0.05)
    by_size, even = (extrapolate(widths, decades, sds, 1280.0, known) for known in (BY_SIZE, EVEN))
    assert -0.5 < by_size.slope < 0
    assert -1 < even.slope < -0.7
    assert even.decades == pytest.approx(even.slope, abs=0.05)


def test_the_further_away_the_less_is_known() -> None:
    widths, decades, sds = np.array([32.0, 64.0]), np.array([0.0, 0.0]), np.full(2, 0.05)
    for known in (BY_SIZE, EVEN, TRANSFERRED):
        near, far = (extrapolate(widths, decades, sds, target, known).sd for target in (128.0, 1024.0))
        assert near < far


def test_a_report_says_what_is_predicted_and_that_nothing_was_trained_there() -> None:
    study = simulated_study(space={"scale_to": {"hidden_size": TARGET}}, model={"hidden_size": 128})
    report = build_report(study, trials_with(-0.5))
    assert len(report.larger) == 2
    assert report.larger[0].startswith("LSTM, norm at 1, at hidden_size 512: the best learning rate is 0.")
    assert "10% of runs diverge at" in report.larger[0]
    assert "nothing was trained at 512, 4 times the largest" in report.larger[1]
    assert "scaling" in report.tables()
