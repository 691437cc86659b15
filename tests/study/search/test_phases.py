from collections import Counter
from typing import get_args

import pytest
from scipy.stats import binomtest

from gradstudy.study.search.phases import Phases, phase_name
from gradstudy.study.spec.study_spec import SamplerName, StudySpec, parse_spec
from gradstudy.study.worth.proof import PROOF_RUNS

BUDGETS = range(1, 401)
IN_ORDER = ["spreading", "searching", "fresh runs"]


def fresh_of(places: int) -> int:
    phases = Phases.of(places)
    return phases.places - phases.searched


def spec_of(trials: int, seeds: int = 1, sampler: str = "auto") -> StudySpec:
    space = {"strategies": ["none"], "learning_rate": 1} if sampler == "grid" else {}
    return parse_spec(
        {"name": "s", "task": "copy", "trials": trials, "seeds": seeds, "sampler": sampler, "space": space}
    )


def test_the_phases_follow_each_other_and_add_up_to_the_budget() -> None:
    for places in BUDGETS:
        phases = Phases.of(places)
        names = [phases.name(place) for place in range(places)]
        assert names == sorted(names, key=IN_ORDER.index)
        counts = Counter(names)
        assert counts["spreading"] == phases.spread > 0
        assert counts["spreading"] + counts["searching"] == phases.searched
        assert counts["fresh runs"] == fresh_of(places)
        assert phases.places == counts.total() == places


def test_every_budget_of_more_than_one_has_fresh_runs() -> None:
    assert fresh_of(1) == 0
    assert all(fresh_of(places) > 0 for places in BUDGETS if places > 1)


def test_from_forty_four_places_on_there_are_at_least_eighteen_fresh_runs() -> None:
    enough = [places for places in BUDGETS if fresh_of(places) >= 18]
    assert enough == list(range(44, 401))
    assert fresh_of(43) == 17


def test_a_larger_budget_has_no_fewer_of_any_phase() -> None:
    for smaller, larger in zip(map(Phases.of, BUDGETS), map(Phases.of, BUDGETS[1:]), strict=False):
        assert larger.spread >= smaller.spread
        assert larger.searched >= smaller.searched
        assert larger.places - larger.searched >= smaller.places - smaller.searched


def test_fresh_runs_are_a_quarter_of_a_large_budget_and_at_most_four_tenths_of_a_small_one() -> None:
    for places in BUDGETS:
        share = fresh_of(places) / places
        if places >= 72:
            assert share == pytest.approx(0.25, abs=0.51 / places)
        elif places >= 20:
            assert 0.25 <= share <= 0.4 + 0.51 / places


def test_a_small_budget_spreads_ten_settings_and_a_large_one_twelve_of_a_hundred() -> None:
    assert Phases.of(6).spread == Phases.of(6).searched < 10
    assert [Phases.of(places).spread for places in (20, 40, 80)] == [10, 10, 10]
    for places in range(100, 401):
        assert Phases.of(places).spread == pytest.approx(0.12 * places, abs=0.51)


def test_the_usual_budget_of_120_spreads_14_searches_76_and_repeats_30() -> None:
    assert Phases.of(StudySpec(name="s").trials) == Phases(spread=14, searched=90, places=120)


def test_that_many_fresh_runs_without_a_divergence_rule_out_a_risk_of_a_fifth() -> None:
    assert binomtest(0, PROOF_RUNS).proportion_ci(0.95).high < 0.2
    assert binomtest(0, PROOF_RUNS - 2).proportion_ci(0.95).high > 0.2


def test_the_phase_is_that_of_the_last_trial_that_has_begun() -> None:
    spec = spec_of(120)
    named = {begun: phase_name(spec, begun) for begun in (1, 14, 15, 90, 91, 120)}
    assert named == {
        1: "spreading", 14: "spreading", 15: "searching", 90: "searching", 91: "fresh runs", 120: "fresh runs"
    }  # fmt: skip


def test_the_replicates_of_a_setting_are_in_one_phase() -> None:
    spec = spec_of(360, seeds=3)
    named = {begun: phase_name(spec, begun) for begun in (42, 43, 270, 271)}
    assert named == {42: "spreading", 43: "searching", 270: "searching", 271: "fresh runs"}


def test_before_the_first_trial_there_is_no_phase() -> None:
    assert phase_name(spec_of(120), 0) is None


@pytest.mark.parametrize("sampler", [name for name in get_args(SamplerName) if name != "auto"])
def test_another_sampler_has_no_phases(sampler: str) -> None:
    assert phase_name(spec_of(120, sampler=sampler), 50) is None
