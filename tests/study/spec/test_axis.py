import json
from typing import Any

import pytest

from gradstudy.study.errors import SpecError
from gradstudy.study.spec.axis import ValueList, described, ends, held, listed, read_axis
from gradstudy.study.spec.study_spec import StudySpec, parse_spec
from gradstudy.study.spec.toml import spec_toml

FORMS = [
    ([0.01, 100], (0.01, 100.0)),
    (0.5, ValueList((0.5,))),
    (1, ValueList((1.0,))),
    ({"values": [5, 0.25, 1]}, ValueList((0.25, 1.0, 5.0))),
]


def spec_of(axis: Any) -> StudySpec:
    return parse_spec(
        {"name": "s", "space": {"strategies": ["norm"], "learning_rate": axis, "thresholds": {"norm": axis}}}
    )


@pytest.mark.parametrize(("given", "axis"), FORMS)
def test_a_learning_rate_and_a_threshold_take_the_same_forms(given: Any, axis: Any) -> None:
    space = spec_of(given).space
    assert space.learning_rate == space.threshold_axis("norm") == axis


@pytest.mark.parametrize("given", [form for form, _ in FORMS])
def test_an_axis_survives_json_and_toml(given: Any) -> None:
    import tomllib

    spec = spec_of(given)
    stored = json.loads(json.dumps(spec.model_dump(mode="json")))
    assert parse_spec(stored) == spec
    assert parse_spec(tomllib.loads(spec_toml(stored))) == spec
    assert parse_spec(spec.model_dump()) == spec


def test_two_numbers_are_the_ends_of_a_range_and_two_values_are_not() -> None:
    assert listed(spec_of([0.1, 1]).space.learning_rate) is None
    assert listed(spec_of({"values": [0.1, 1]}).space.learning_rate) == (0.1, 1.0)


@pytest.mark.parametrize(
    "given",
    [
        True,
        None,
        [],
        [1],
        [1, 2, 3],
        "fast",
        ["a", "b"],
        {"values": 1},
        {"values": [[1]]},
        {"values": [1], "x": 1},
        {},
        10**400,
    ],
)
def test_anything_else_is_refused(given: Any) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(given)
    assert str(caught.value) == (
        f"space.learning_rate must be [LOW, HIGH], one number or {{values = [A, B, C]}}, but got {given!r}"
    )


@pytest.mark.parametrize(
    ("values", "shown"),
    [([], "none"), ([1, 1], "1,1"), ([0], "0"), ([-1, 1], "-1,1"), ([float("nan")], "nan"), ([float("inf")], "inf")],
)
def test_values_are_positive_and_different(values: list[float], shown: str) -> None:
    with pytest.raises(
        SpecError, match=f"must have 1 to 1,000 different positive values, at most 3e.38, but got {shown}$"
    ):
        spec_of({"values": values})


def test_the_limit_of_a_threshold_holds_for_values() -> None:
    with pytest.raises(SpecError, match="thresholds of 'autoclip' must be at most 100, but got 150"):
        parse_spec({"name": "s", "space": {"thresholds": {"autoclip": {"values": [50, 150]}}}})


def test_values_of_the_learning_rate_may_be_given_like_those_of_a_factor() -> None:
    text = parse_spec({"name": "s", "space": {"factors": {"learning_rate": ["1", "0.1"], "hidden_size": ["8"]}}})
    assert text.space.learning_rate == ValueList((0.1, 1.0))
    assert text.space.factors == {"hidden_size": (8,)}


def test_what_an_axis_says() -> None:
    values, alone = ValueList((0.25, 1.0, 5.0)), ValueList((0.5,))
    assert [described(axis) for axis in ((0.01, 100.0), values, alone)] == ["0.01 to 100", "0.25, 1, 5", "0.5"]
    assert [ends(axis) for axis in ((0.01, 100.0), values, alone)] == [(0.01, 100.0), (0.25, 5.0), (0.5, 0.5)]
    assert [held(axis) for axis in ((0.01, 100.0), values, alone)] == [None, None, 0.5]
    assert read_axis(values) == values
