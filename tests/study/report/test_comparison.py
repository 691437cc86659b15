import numpy as np
import pytest
from simulated import simulated_study, simulated_trials

from gradstudy.study.report.comparison import Comparison, rate_difference
from gradstudy.study.report.report import build_report


def compared(**spec_of_b: object) -> Comparison:
    a = build_report(simulated_study("a"), simulated_trials(200, cells=("gru", "lstm")))
    b = build_report(simulated_study("b", **spec_of_b), simulated_trials(200, edges=(1.5,), seed=1))
    return Comparison(a, b)


def test_the_interval_of_a_difference_equals_newcombes_table() -> None:
    # Newcombe 1998, table II, method 10: 56/70 less 48/80, and 9/10 less 3/10.
    assert rate_difference(48, 80, 56, 70) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert rate_difference(3, 10, 9, 10) == pytest.approx((0.6, 0.1705, 0.8090), abs=5e-5)


def test_the_interval_covers_the_true_difference() -> None:
    random, covered = np.random.default_rng(2), []
    for _ in range(2000):
        p, q = random.uniform(0, 1, 2)
        _, low, high = rate_difference(int(random.binomial(30, p)), 30, int(random.binomial(40, q)), 40)
        covered.append(low <= q - p <= high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_what_only_one_study_has_is_there_without_a_difference() -> None:
    table = compared().table.set_index(["cell", "strategy"])
    assert np.isnan(table.loc[("gru", "norm"), "difference"])
    lstm = table.loc[("lstm", "norm")]
    assert lstm["difference"] == pytest.approx(lstm["rate_b"] - lstm["rate_a"])
    assert lstm["difference_low"] < lstm["difference"] < lstm["difference_high"] < 0
    assert lstm["frontier_highest_b"] > 3 * lstm["frontier_highest_a"]


def test_the_specs_differences_are_listed_without_name_and_seed() -> None:
    assert compared(seed=3).spec_differences == []
    assert compared(steps=7, optimizer="adam").spec_differences == [("optimizer", "sgd", "adam"), ("steps", "100", "7")]


def test_other_tasks_and_other_spaces_are_warned_of() -> None:
    assert not any("task" in caveat or "spaces" in caveat for caveat in compared().caveats)
    warned = compared(task="copy", space={"learning_rate": [0.1, 1]}).caveats
    assert any("losses cannot be compared" in caveat for caveat in warned)
    assert any("different spaces" in caveat for caveat in warned)
