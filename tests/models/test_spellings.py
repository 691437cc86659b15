"""Any table of numbers, written in any of the ways that people have, comes back the same."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gradstudy.models.tasks.files.layout import Reading
from gradstudy.models.tasks.files.numeric_table import read_numeric_table
from gradstudy.models.tasks.files.spelling import COMMA, POINT, read_number

FAST = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def grouped(digits: str, mark: str) -> str:
    return f"{int(digits):,}".replace(",", mark)


@dataclass(frozen=True)
class Spelling:
    """How a number is written.

    Attributes:
        decimal: sign.
        mark: between thousands.
        before: what stands before the digits.
        after: what stands after them.
        brackets: whether these mean a minus.
    """

    decimal: str
    mark: str
    before: str
    after: str
    brackets: bool

    def write(self, number: float) -> str:
        whole, fraction = f"{abs(number):.4f}".split(".")
        text = f"{self.before}{grouped(whole, self.mark)}{self.decimal}{fraction}{self.after}"
        if number >= 0:
            return text
        return f"({text})" if self.brackets else f"-{text}"


SPELLINGS = st.builds(
    Spelling,
    decimal=st.sampled_from([POINT, COMMA]),
    mark=st.sampled_from(["", "'", "\u00a0", "\u202f", " ", "other"]),
    before=st.sampled_from(["", "$", "€", "£", "R$"]),
    after=st.sampled_from(["", "%", " %"]),
    brackets=st.booleans(),
).map(
    lambda each: (
        each
        if each.mark != "other"
        else Spelling(each.decimal, COMMA if each.decimal == POINT else POINT, each.before, each.after, each.brackets)
    )
)


@given(st.floats(-1e9, 1e9), SPELLINGS)
@FAST
def test_a_number_is_read_in_every_spelling(number: float, spelling: Spelling) -> None:
    assert read_number(spelling.write(number), spelling.decimal) == pytest.approx(round(number, 4), rel=1e-12)


TABLES = st.integers(1, 5).flatmap(
    lambda width: st.lists(
        st.lists(st.one_of(st.floats(-1e6, 1e6).map(lambda x: round(x, 4)), st.none()), min_size=width, max_size=width),
        min_size=12,
        max_size=40,
    )
)


@given(
    table=TABLES,
    spelling=SPELLINGS,
    separator=st.sampled_from([",", ";", "\t", "|"]),
    quotes=st.booleans(),
    gap=st.sampled_from(["NA", "?", "null", "NaN", "#N/A"]),
    header=st.booleans(),
    times=st.sampled_from([None, "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y-%m-%dT%H:%M:%S"]),
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    trailing=st.booleans(),
    above=st.lists(st.just("Measured by the station on the hill"), max_size=3),
    below=st.lists(st.just("Source: the station"), max_size=2),
)
@FAST
def test_a_table_comes_back_the_same(
    tmp_path, table, spelling, separator, quotes, gap, header, times, ends, encoding, trailing, above, below
) -> None:
    width = len(table[0])
    used = {spelling.decimal, spelling.mark}
    quote = '"' if quotes or separator in used else ""

    def cell(number: float | None) -> str:
        return gap if number is None else f"{quote}{spelling.write(number)}{quote}"

    lines = [[cell(number) for number in row] for row in table]
    if header:
        lines.insert(0, [f"name of {column}" for column in range(width)])
    if times:
        days = (np.datetime64("2020-01-25") + np.arange(len(table))).astype("datetime64[s]").astype(object)
        stamps = ["when"] * header + [day.strftime(times) for day in days]
        lines = [[stamp, *line] for stamp, line in zip(stamps, lines, strict=True)]
    if len(lines[0]) == 1:
        above = []  # a line above a single column is its name
    path = tmp_path / "table.csv"
    text = ends.join([*above, *(separator.join(line) + separator * trailing for line in lines), *below])
    path.write_bytes(text.encode(encoding))
    columns = [f"name of {c}" if header else str(c + 1 + bool(times)) for c in range(width)]
    numbers = np.array(table, dtype=np.float64)
    whole = numbers[~np.isnan(numbers).any(1)]
    assume(len(whole))
    # 1,5 alone in its line can as well be two columns.
    said = Reading(
        separator="none" if len(lines[0]) == 1 and not header and not trailing else "auto", columns=tuple(columns)
    )
    read = read_numeric_table(str(path), said, rows=1000, gaps="drop")
    np.testing.assert_allclose(read.values, whole.astype(np.float32), rtol=2e-7)
