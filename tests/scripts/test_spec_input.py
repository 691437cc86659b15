import pytest

from gradstudy.scripts.spec_input import assignments, bounds, merged, names
from gradstudy.study.errors import SpecError


def test_names_are_separated_by_commas() -> None:
    assert names(" lstm, gru,") == ["lstm", "gru"]
    assert names("") == []


def test_bounds_are_two_numbers() -> None:
    assert bounds("--lr", "1e-3:100") == (0.001, 100.0)


@pytest.mark.parametrize("text", ["", ":", "1", "1:", ":1", "a:b", "1-2"])
def test_anything_else_is_no_range(text: str) -> None:
    with pytest.raises(SpecError, match=r"--lr takes LOW:HIGH such as 1e-3:100, but got '"):
        bounds("--lr", text)


def test_assignments_may_hold_equal_signs_and_spaces() -> None:
    assert assignments("--x", ["a=1", " b = c=d "], "") == {"a": "1", "b": "c=d"}
    assert assignments("--x", [], "") == {}


def test_tables_are_merged_and_values_replaced() -> None:
    base = {"a": 1, "t": {"x": 1, "y": {"z": 1}}}
    assert merged(base, {"a": 2, "t": {"y": {"w": 2}}}) == {"a": 2, "t": {"x": 1, "y": {"z": 1, "w": 2}}}
    assert base == {"a": 1, "t": {"x": 1, "y": {"z": 1}}}
