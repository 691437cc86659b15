import pytest

from gradstudy.scripts.spec_input import assignments, axis, merged, names
from gradstudy.study.errors import SpecError


def test_names_are_separated_by_commas() -> None:
    assert names(" lstm, gru,") == ["lstm", "gru"]
    assert names("") == []


@pytest.mark.parametrize(
    ("text", "axis_given"),
    [
        ("1e-3:100", (0.001, 100.0)),
        ("0.5", {"values": [0.5]}),
        ("10, 1,0.1", {"values": [10.0, 1.0, 0.1]}),
        ("0.01:100:5", {"values": [0.01, 0.1, 1.0, 10.0, 100.0]}),
        ("1:2:3", {"values": [1.0, 1.41, 2.0]}),
        ("0.123456:1:2", {"values": [0.123456, 1.0]}),
    ],
)
def test_an_axis_is_a_range_values_or_points_of_a_range(text: str, axis_given: object) -> None:
    assert axis("--lr", text) == axis_given


@pytest.mark.parametrize(
    "text", [":", "1:", ":1", "a:b", "1-2", "a", "1,b", "1:2:", "1:2:1", "1:2:1000", "2:1:3", "1:inf:3", "1:2:3:4"]
)
def test_anything_else_is_no_axis(text: str) -> None:
    with pytest.raises(SpecError, match=r"--lr takes LOW:HIGH such as 1e-3:100, values such as .*, but got '"):
        axis("--lr", text)


def test_assignments_may_hold_equal_signs_and_spaces() -> None:
    assert assignments("--x", ["a=1", " b = c=d "], "") == {"a": "1", "b": "c=d"}
    assert assignments("--x", [], "") == {}


def test_tables_are_merged_and_values_replaced() -> None:
    base = {"a": 1, "t": {"x": 1, "y": {"z": 1}}}
    assert merged(base, {"a": 2, "t": {"y": {"w": 2}}}) == {"a": 2, "t": {"x": 1, "y": {"z": 1, "w": 2}}}
    assert base == {"a": 1, "t": {"x": 1, "y": {"z": 1}}}
