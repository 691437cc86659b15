"""Where the names of a table's columns are, and where its rows begin."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gradstudy.models.tasks.files.spelling import is_missing, is_number

_LOOKED_AT = 10
"""Rows of numbers before a row of names that may belong to what is said above the table."""

Row = tuple[int, list[str]]
"""The line on which a row begins, and its cells."""


@dataclass(frozen=True)
class Header:
    """The beginning of a table.

    Attributes:
        rows: of names, units and the like, each as wide as the table or shorter.
        line: of the first of them; None where there is none.
        first: place of the first row of numbers among the rows.
    """

    rows: tuple[list[str], ...]
    line: int | None
    first: int


def find_header(rows: Sequence[Row], width: int, numeric: Sequence[int], decimal: str) -> Header:
    """The last rows without a number, before those that have some in these columns."""

    def names(row: list[str]) -> bool:
        return _names(row, numeric, decimal)

    wide = [place for place, (_, row) in enumerate(rows) if len(row) == width]
    start = wide[0] if wide else 0
    before = rows[start - 1][1] if start else []
    if start and not names(rows[start][1]) and _names_of_fewer(before, width, decimal):
        return Header((before,), rows[start - 1][0], start)
    if not names(rows[start][1]):
        above = [place for place in wide[:_LOOKED_AT] if width > 1 and all(rows[place][1]) and names(rows[place][1])]
        if not above:
            return _numbered(rows, start, numeric, decimal)
        start = above[0]
    end = start
    while end < len(rows) and (len(rows[end][1]) < width or names(rows[end][1])):
        end += 1
    found = [row for _, row in rows[start:end] if any(cell.strip() for cell in row)]
    return Header(tuple(found), rows[start][0], end)


def header_at(rows: Sequence[Row], line: int, width: int, numeric: Sequence[int], decimal: str) -> Header | None:
    """The header whose first row is on this line; None where no row begins there."""
    place = next((place for place, (begins, _) in enumerate(rows) if begins == line), None)
    if place is None:
        return None
    end = place + 1
    while end < len(rows) and (len(rows[end][1]) < width or _names(rows[end][1], numeric, decimal)):
        end += 1
    return Header(tuple(row for _, row in rows[place:end]), line, end)


def names_of(header: Header, width: int, *, shifted: bool) -> tuple[tuple[str, ...], int]:
    """A name for each column, all different, and how many rows of the header they were made from.

    The first row has the names; where two are the same, the rows below are added.

    Args:
        header: with rows of any width.
        width: columns of the table.
        shifted: whether the first column is the one that has no name, as R writes it.
    """
    if not header.rows:
        return tuple(str(number + 1) for number in range(width)), 0
    rows = [["", *row] if shifted else row for row in header.rows]
    padded = [[cell.strip() for cell in row[:width]] + [""] * (width - len(row)) for row in rows]
    used = 1
    names = padded[0]
    while used < len(padded) and _repeated(names):
        names = [" ".join(dict.fromkeys(filter(None, pair))) for pair in zip(names, padded[used], strict=True)]
        used += 1
    counts: Counter[str] = Counter()
    different = []
    for number, name in enumerate(names, 1):
        name = name or f"column {number}"
        counts[name] += 1
        different.append(name if counts[name] == 1 else f"{name}.{counts[name]}")
    return tuple(different), used


def _repeated(names: Sequence[str]) -> bool:
    given = [name for name in names if name]
    return len(set(given)) < len(given)


def _names(row: list[str], numeric: Sequence[int], decimal: str) -> bool:
    """Whether a row as wide as the table holds no number where numbers are, but words."""
    cells = [row[column] for column in numeric if column < len(row)]
    if any(is_number(cell, decimal) for cell in cells):
        return False
    if not all(map(is_missing, cells)):
        return True
    others = [cell for cell in row if not is_missing(cell)]
    return bool(others) and not any(letter.isdigit() for cell in others for letter in cell)


def _names_of_fewer(row: list[str], width: int, decimal: str) -> bool:
    """Whether a shorter row holds the names of a table whose rows end with separators, or have a name of their own."""
    return 1 < len(row) < width and not any(is_number(cell, decimal) or not cell.strip() for cell in row)


def _numbered(rows: Sequence[Row], start: int, numeric: Sequence[int], decimal: str) -> Header:
    """The header whose names are numbers, as of sensors: its other cells have no digit while all those below have."""
    first = [cell.strip() for cell in rows[start][1]]
    below = [row for _, row in rows[start + 1 :] if len(row) == len(first)]
    others = [column for column in range(len(first)) if column not in numeric]
    counts = [[str(number) for number in range(begin, begin + len(first))] for begin in (0, 1)]
    named = bool(others and below) and all(
        not any(map(str.isdigit, first[column])) and all(any(map(str.isdigit, row[column])) for row in below)
        for column in others
    )
    indexed = len(first) > 2 and (first in counts or (first[0] == "" and first[1:] in (counts[0][:-1], counts[1][:-1])))
    whole = all(first[column].isdecimal() or not first[column] for column in numeric)
    if (named or indexed) and whole and len(below) > 1:
        return Header((rows[start][1],), rows[start][0], start + 1)
    return Header((), None, start)
