"""How the table in a file is written, recognised from its beginning and from what its user says."""

import csv
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.files.header import Header, Row, find_header, header_at, names_of
from gradstudy.models.tasks.files.row_times import TimeColumns, find_times, is_compact
from gradstudy.models.tasks.files.separator import SEPARATORS, name_of, separator_of, split_rows
from gradstudy.models.tasks.files.spelling import (
    COMMA,
    POINT,
    decimal_of,
    is_missing,
    is_number,
    is_plain,
    signs_of,
    unit_of,
    without_unit,
)
from gradstudy.models.tasks.options import AUTO

_LINES_LOOKED_AT = 2000
"""Lines at the beginning that are looked at, and as many again of what follows in the first block."""

_ROWS_LOOKED_AT = 1000
"""Rows that the kinds of the columns rest on, spread over these lines."""


@dataclass(frozen=True)
class Reading:
    """What a user says of a file; what is not said is recognised.

    Attributes:
        separator: a name of ``SEPARATORS``, or ``auto``.
        decimal: ``point``, ``comma`` or ``auto``.
        header: the line of the names, 0 for none, or ``auto``.
        missing: further cells that mean a missing number.
        columns: names of the columns to take; none for all that are numbers and do not just count.
    """

    separator: str = AUTO
    decimal: str = AUTO
    header: str | int = AUTO
    missing: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """How a table is written.

    Attributes:
        separator: between cells.
        decimal: sign of the numbers.
        names: of all columns.
        header: its rows, so that it is known where it is repeated.
        header_line: where the names are; None where there are none.
        names_from: how many of the header's rows the names were made from.
        first_line: where the first row of numbers is.
        numbers: columns that are read as numbers.
        spelled: those of them that have more than digits and a decimal sign.
        units: what follows the numbers of a column.
        signs: what is taken off the numbers, in words.
        times: the columns of times, where there are any.
        unnamed: columns without a name that hold nothing, as where rows end with separators.
        missing: further cells that mean a missing number.
        has_decimals: whether a number has a decimal sign.
    """

    separator: str
    decimal: str
    names: tuple[str, ...]
    header: tuple[list[str], ...]
    header_line: int | None
    names_from: int
    first_line: int
    numbers: tuple[int, ...]
    spelled: frozenset[int]
    units: dict[int, str]
    signs: tuple[str, ...]
    times: TimeColumns | None
    unnamed: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()
    has_decimals: bool = True

    @property
    def width(self) -> int:
        """Cells of a row."""
        return len(self.names)

    @property
    def words(self) -> str:
        """Separator, decimal sign and header in words."""
        parts = [{"none": "one column"}.get(name := name_of(self.separator), name)]
        parts += ["decimal comma"] if self.decimal == COMMA else []
        if self.header_line is None:
            parts.append("no header")
        elif len(self.header) == 1:
            parts.append(f"header on line {self.header_line}")
        else:
            of = "the first" if self.names_from == 1 else f"{self.names_from}"
            parts.append(f"{len(self.header)} header rows from line {self.header_line}, names of {of}")
        if self.signs:
            parts.append(f"without {' and '.join(self.signs)}")
        units = sorted(set(self.units.values()))
        parts += [f"without the unit {', '.join(units)}"] if units else []
        return ", ".join(parts)


def recognise(path: str, head: Sequence[str], said: Reading) -> Layout:
    """The layout of a file that begins with these lines.

    Raises:
        TaskError: it has no rows or no column of numbers, or what was said of it does not fit.
    """
    lines = [*head[:_LINES_LOOKED_AT], *head[_LINES_LOOKED_AT :: 1 + len(head) // _LINES_LOOKED_AT]]
    declared = _declared(lines)
    separator = SEPARATORS.get(said.separator) or declared or separator_of(lines)
    rows = _rows(lines, separator)
    if not rows:
        raise TaskError(f"{path} has no rows")
    widths = Counter(len(row) for _, row in rows)
    width = max(widths, key=lambda each: (widths[each] * (each > 1 or len(widths) == 1), each))
    if said.separator not in (AUTO, "none") and width == 1:
        raise TaskError(
            f"{path}: separator={said.separator} is given, but its rows have none: line {rows[0][0]} is "
            f"{', '.join(rows[0][1])[:60]!r}"
        )
    wide = [row for _, row in rows if len(row) == width]
    body = wide[len(wide) // 2 :]
    body = body[:: max(1, len(body) // _ROWS_LOOKED_AT)]
    decimal = _decimal(said, body, separator)
    units = {c: u for c in range(width) if (u := _unit(body, c, decimal, said.missing))}
    numbers = [column for column in range(width) if _is_numeric(body, column, decimal, units, said.missing)]
    bare = [(line, [without_unit(cell, units, c) for c, cell in enumerate(row)]) for line, row in rows]
    header = _header(path, bare, width, numbers, decimal, said)
    names, names_from = names_of(header, width, shifted=_is_shifted(path, header, body, width, separator))
    if header.first >= len(rows):
        if len(rows) > 1:
            raise _no_numbers(path, rows[1], said)
        raise TaskError(f"{path} has a header and no rows")
    wide = [row for _, row in rows[header.first :] if len(row) == width]
    sample = wide[:: max(1, len(wide) // _ROWS_LOOKED_AT)]
    unnamed = [c for c in range(width) if names[c] in (f"column {c + 1}", str(c + 1))]
    empty = [c for c in unnamed if all(not row[c].strip() for row in wide)] if width > 1 else []
    times = find_times(sample, _maybe_times(sample, numbers, width))
    if said.columns:
        chosen = [_position(path, name, names) for name in said.columns]
    else:
        chosen = [c for c in numbers if c not in empty and not (times and c in times.columns)]
    if not any(is_number(without_unit(row[c], units, c), decimal) for c in chosen for row in wide):
        raise _no_numbers(path, rows[header.first], said)
    cells = [(c, without_unit(row[c], units, c)) for row in sample for c in chosen]
    return Layout(
        separator=separator,
        decimal=decimal,
        names=names,
        header=header.rows,
        header_line=header.line,
        names_from=names_from,
        first_line=rows[header.first][0],
        numbers=tuple(chosen),
        spelled=frozenset(c for c, cell in cells if not is_plain(cell, decimal)) | (units.keys() & set(chosen)),
        units=units,
        signs=tuple(sorted({sign for _, cell in cells for sign in signs_of(cell, decimal)})),
        times=times,
        unnamed=tuple(empty),
        missing=said.missing,
        has_decimals=any(decimal in cell and is_number(cell, decimal) for _, cell in cells),
    )


def _declared(lines: list[str]) -> str | None:
    """The separator that the first line declares for spreadsheets; the line is emptied."""
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].strip("\r\n")) == 5:
        separator = lines[0][4]
        lines[0] = ""
        return separator if separator in SEPARATORS.values() else None
    return None


def _rows(lines: Sequence[str], separator: str) -> list[Row]:
    """The rows that are not blank and no comment, up to one that is no CSV, which is said when all is read."""
    rows: list[Row] = []
    begins = 1
    with suppress(csv.Error):
        for ends, row in split_rows(lines, separator):
            if any(cell.strip() for cell in row) and not row[0].startswith("#"):
                rows.append((begins, row))
            begins = ends + 1
    return rows


def _decimal(said: Reading, body: Sequence[list[str]], separator: str) -> str:
    if said.decimal != AUTO:
        return COMMA if said.decimal == "comma" else POINT
    return decimal_of((cell for row in body for cell in row), separator)


def _unit(body: Sequence[list[str]], column: int, decimal: str, missing: Sequence[str]) -> str | None:
    if all(is_number(row[column], decimal) or is_missing(row[column]) for row in body):
        return None
    return unit_of((row[column] for row in body if row[column].strip() not in missing), decimal)


def _is_numeric(
    body: Sequence[list[str]], column: int, decimal: str, units: dict[int, str], missing: Sequence[str]
) -> bool:
    """Whether most of the cells that are there are numbers, or none is there."""
    cells = [without_unit(row[column], units, column) for row in body]
    there = [cell for cell in cells if not is_missing(cell) and cell.strip() not in missing]
    return 2 * sum(is_number(cell, decimal) for cell in there) >= len(there)


def _maybe_times(sample: Sequence[list[str]], numbers: Sequence[int], width: int) -> list[int]:
    return [c for c in range(width) if c not in numbers or is_compact([row[c] for row in sample])]


def _header(path: str, rows: Sequence[Row], width: int, numbers: Sequence[int], decimal: str, said: Reading) -> Header:
    if said.header == AUTO:
        return find_header(rows, width, numbers, decimal)
    line = int(said.header)
    if line == 0:
        return Header((), None, next(place for place, (_, row) in enumerate(rows) if len(row) == width))
    found = header_at(rows, line, width, numbers, decimal)
    if found is None:
        raise TaskError(f"{path}: header={line} is given, but no row begins on line {line}")
    return found


def _is_shifted(path: str, header: Header, body: Sequence[list[str]], width: int, separator: str) -> bool:
    """Whether the header has names for all columns but the first; raises TaskError where it fits in no way."""
    names = len(header.rows[0]) if header.rows else width
    if names >= width or not any(cell.strip() for row in body for cell in row[names:]):
        return False
    if names == width - 1 and separator in (SEPARATORS["blanks"], SEPARATORS["tab"]):
        return True
    hint = "header=0 reads it without names"
    if separator == ",":
        hint += "; a decimal comma cannot be told from a separating one, so save such numbers with semicolons between"
    raise TaskError(f"{path}, line {header.line}: it has {names} names where the rows have {width} cells: {hint}")


def _position(path: str, name: str, names: Sequence[str]) -> int:
    if name not in names:
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise TaskError(f"{path} has no column {name!r}: its columns are {shown}")
    return names.index(name)


def _no_numbers(path: str, row: Row, said: Reading) -> TaskError:
    line, cells = row
    shown = ", ".join(cells)[:120]
    if shown.lstrip().startswith(("{", "[", "<")):
        return TaskError(f"{path} is JSON or XML, not a table: write its numbers as CSV, a row a line")
    hint = "" if said.separator != AUTO else ": where another sign stands between the cells, give separator=NAME"
    return TaskError(f"{path} has no column of numbers; line {line} is {shown}{hint}")
