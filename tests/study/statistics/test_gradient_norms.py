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
    assert suggested_thresholds(frame_of(RUNS)).to_numpy().tolist() == [["gru", 8.0, 2, False], ["lstm", 2.0, 3, True]]


def test_without_trained_runs_no_threshold_is_suggested() -> None:
    assert suggested_thresholds(frame_of([{"outcome": "diverged"}])).empty
    assert gradient_norms(frame_of([])).empty
