"""A CSV file row by row, with what is wrong said by line and column."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.files.text_file import TextFile

BLOCK_ROWS = 10_000
"""Rows that are converted at once."""

_MISSING = frozenset({"", "nan", "na", "n/a", "#n/a", "null", "none", "missing", "?", "-", "."})
"""What people write where a number is missing, in lower case."""


class CsvRows:
    """The rows of lines of text as lists of cells.

    Attributes:
        separator: of the cells.
        skipped: lines that were passed over, by reason.
        line: where the row that was read last begins.
    """

    def __init__(self, file: TextFile, lines: Iterable[str], separator: str, first_line: int = 1) -> None:
        self.separator = separator
        self.skipped: Counter[str] = Counter()
        self.line = first_line
        self._file = file
        self._before = first_line - 1
        # With their ends: between quotes, lines would run together to other numbers.
        ended = (f"{line}\n" for line in lines)
        self._reader = csv.reader(ended, delimiter=separator, skipinitialspace=True, strict=True)

    def from_line(self, line: int, lines: Iterable[str]) -> "CsvRows":
        """The rows of other lines of the file, with the same account of what is passed over."""
        rows = CsvRows(self._file, lines, self.separator, line)
        rows.skipped = self.skipped
        return rows

    def begin(self) -> tuple[list[str], list[str]]:
        """The first row with a number, and the names of the columns."""
        first = self._next()
        if first is None:
            raise TaskError(f"{self._file.path} has no rows")
        if any(map(is_number, first)):
            return first, [str(number + 1) for number in range(len(first))]
        names = [name.strip() or f"column {number + 1}" for number, name in enumerate(first)]
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise self._file.error(self.line, f"two columns have the name {repeated[0]!r}")
        row = self._next()
        if row is None:
            raise TaskError(f"{self._file.path} has a header and no rows")
        self._check_width(row, len(names))
        return row, names

    def blocks(self, columns: list[int], names: list[str]) -> Iterator[NDArray[np.float64]]:
        """The cells of these columns as numbers, in blocks of rows."""
        row = self._next()
        cells: list[float] = []
        lines: list[int] = []
        while row is not None:
            self._check_width(row, len(names))
            try:
                cells.extend([float(row[column]) for column in columns])
            except ValueError:
                raise self._wrong_cell(self.line, row, columns, names) from None
            lines.append(self.line)
            row = self._next()
            if len(lines) == BLOCK_ROWS or row is None:
                block = np.array(cells).reshape(len(lines), len(columns))
                self._check_finite(block, lines, columns, names)
                yield block
                cells, lines = [], []

    def _next(self) -> list[str] | None:
        """The next row that is not passed over; None at the end."""
        while True:
            self.line = self._before + self._reader.line_num + 1
            try:
                row = next(self._reader, None)
            except csv.Error as error:
                raise self._file.error(self.line, f"it is not CSV: {error}") from None
            if row is None:
                return None
            if len(row) < 2 and not any(row):
                self.skipped["blank lines"] += 1
            elif row[0].startswith("#"):
                self.skipped["comments"] += 1
            else:
                return row

    def _check_width(self, row: list[str], width: int) -> None:
        if len(row) != width:
            raise self._file.error(self.line, f"it has {len(row)} cells where the lines before have {width}")

    def _wrong_cell(self, line: int, row: list[str], columns: list[int], names: list[str]) -> TaskError:
        column = next(column for column in columns if not is_number(row[column]))
        cell = row[column]
        if is_missing(cell):
            what = "is empty" if not cell.strip() else f"is {cell.strip()!r}, a missing value"
            hint = "fill the gaps, or leave the column out with columns=NAME,NAME"
        else:
            shown = cell if len(cell) <= 40 else f"{cell[:40]}..."
            what = f"is {shown!r}, which is not a number"
            hint = "numbers have a decimal point and no other signs" if "," in cell else "each row must hold numbers"
        return self._file.error(line, f"the cell of column {names[column]!r} {what}: {hint}")

    def _check_finite(self, block: NDArray[np.float64], lines: list[int], columns: list[int], names: list[str]) -> None:
        wrong = np.argwhere(~(np.abs(block) <= np.finfo(np.float32).max))
        if len(wrong):
            row, column = wrong[0].tolist()
            value = block[row, column]
            what = "is nan, a missing value" if np.isnan(value) else f"is {value:g}, which float32 cannot hold"
            hint = "fill the gaps, or leave the column out with columns=NAME,NAME"
            raise self._file.error(lines[row], f"the cell of column {names[columns[column]]!r} {what}: {hint}")


def is_number(cell: str) -> bool:
    """Whether a cell holds a number; what stands for a missing one does not."""
    try:
        float(cell)
    except ValueError:
        return False
    return not is_missing(cell)


def is_missing(cell: str) -> bool:
    """Whether a cell is empty or holds what people write where a number is missing."""
    return cell.strip().lower() in _MISSING
