from typing import Any

import pytest

from gradstudy.study.errors import SpecError
from gradstudy.study.spec.grid import grid_size
from gradstudy.study.spec.study_spec import StudySpec, parse_spec
from gradstudy.study.spec.variations import variations

SPACE = {
    "strategies": ["none", "norm"],
    "learning_rate": {"values": [0.1, 1, 10]},
    "thresholds": {"norm": {"values": [0.25, 1, 5, 20]}},
}


def spec_of(**given: Any) -> StudySpec:
    return parse_spec({"name": "s", "task": "copy", "space": SPACE} | given)


def test_a_space_of_values_is_a_grid_with_a_trial_for_each_setting_and_seed() -> None:
    assert (spec_of().sampler, spec_of().trials) == ("grid", 2 * (1 + 4) * 3)
    assert spec_of(seeds=4).trials == 120
    varied = spec_of(space=SPACE | {"cells": ["lstm"], "factors": {"hidden_size": ["8", "16"]}})
    assert (varied.sampler, varied.trials) == ("grid", 30)


def test_a_sampler_or_a_budget_that_is_given_stays() -> None:
    assert [spec_of(sampler="qmc").sampler, spec_of(sampler="qmc").trials] == ["qmc", 120]
    assert [spec_of(trials=20).sampler, spec_of(trials=20).trials] == ["auto", 20]
    assert spec_of(sampler="grid", trials=60).trials == 60
    assert (parse_spec({"name": "s"}).sampler, parse_spec({"name": "s"}).trials) == ("auto", 120)


def test_a_range_makes_no_grid() -> None:
    ranged = SPACE | {"learning_rate": [0.1, 10]}
    assert grid_size(spec_of(space=ranged).space) is None
    assert spec_of(space=ranged).sampler == "auto"
    with pytest.raises(SpecError, match=r"learning rate is searched from 0.1 to 10 \(values: --lr 0.1,1,10\)$"):
        spec_of(space=ranged, sampler="grid")
    with pytest.raises(SpecError, match=r"searched for norm, value \(points: --threshold norm=0.01:10:5\)$"):
        spec_of(space={"strategies": ["norm", "value"], "learning_rate": 1}, sampler="grid")


def test_the_budget_of_a_grid_is_the_whole_of_it() -> None:
    with pytest.raises(SpecError, match=r"^trials must be a multiple of 60 with sampler 'grid', which runs 30 settings "
                                        r"with 2 seeds each, such as 60 or 120, but got 80$"):  # fmt: skip
        spec_of(sampler="grid", trials=80, seeds=2)


def test_the_spec_of_each_trial_of_a_varied_grid_can_be_made() -> None:
    varied = spec_of(space=SPACE | {"factors": {"hidden_size": [8, 16], "batch_size": [4, 8]}})
    assert [(one.model.hidden_size, one.batch_size) for one in variations(varied)] == [(8, 4), (8, 8), (16, 4), (16, 8)]


@pytest.mark.parametrize(
    ("given", "what"), [({"sampler": "frontier"}, "sampler 'frontier'"), ({"frontier_width": 1}, "frontier_width")]
)
def test_where_one_learning_rate_is_held_no_frontier_is_looked_for(given: dict[str, Any], what: str) -> None:
    with pytest.raises(SpecError, match=f"^{what} is about the largest safe learning rate .* is held at 0.5$"):
        parse_spec({"name": "s", "space": {"learning_rate": 0.5}} | given)
