from simulated import frame_of

from gradstudy.study.statistics.gradient_norms import gradient_norms, suggested_thresholds

RUNS = [
    {"strategy": "none", "grad_norm_p90": 1.0},
    {"strategy": "none", "grad_norm_p90": 3.0},
    {"strategy": "none", "grad_norm_p90": 2.0, "grad_norm_max": 9.0},
    {"strategy": "none", "grad_norm_p90": 1000.0, "outcome": "diverged"},
    {"strategy": "norm", "grad_norm_p90": 50.0},
    {"cell": "gru", "strategy": "norm", "grad_norm_p90": 7.0},
    {"cell": "gru", "strategy": "value", "grad_norm_p90": 9.0},
]


def test_the_quantiles_are_medians_over_the_trained_runs() -> None:
    table = gradient_norms(frame_of(RUNS)).set_index(["cell", "strategy"])
    assert table.loc[("lstm", "none")].tolist() == [3, 0.5, 2.0, 2.0]
    assert table.loc[("gru", "value"), "p90"] == 9.0


def test_the_suggested_threshold_is_that_of_runs_without_clipping_where_there_are_any() -> None:
    found = suggested_thresholds(frame_of(RUNS))[["cell", "threshold", "runs", "without_clipping"]]
    assert found.to_numpy().tolist() == [["gru", 8.0, 2, False], ["lstm", 2.0, 3, True]]


def test_only_runs_near_the_best_learning_rate_suggest_and_those_that_used_the_threshold_check_it() -> None:
    rows = [
        {"strategy": "none", "threshold": None, "grad_norm_p90": 2.0, "validation_loss": 1.0},
        {"strategy": "none", "threshold": None, "grad_norm_p90": 90.0, "learning_rate": 0.01, "validation_loss": 3.0},
        {"threshold": 2.5, "clipped_fraction": 0.3, "validation_loss": 1.5},
        {"threshold": 1.5, "clipped_fraction": 0.1, "validation_loss": 1.5},
        {"threshold": 9.0, "clipped_fraction": 0.0, "validation_loss": 1.5},
        {"threshold": 2.0, "clipped_fraction": 0.9, "learning_rate": 0.01, "validation_loss": 3.0},
    ]
    row = suggested_thresholds(frame_of(rows)).iloc[0]
    assert (row["threshold"], row["runs"], row["checked_by"]) == (2.0, 1, 2)
    assert abs(row["clipped_fraction"] - 0.2) < 1e-12


def test_without_trained_runs_no_threshold_is_suggested() -> None:
    assert suggested_thresholds(frame_of([{"outcome": "diverged"}])).empty
    assert gradient_norms(frame_of([])).empty
