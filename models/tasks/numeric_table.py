"""The numeric columns of a CSV file of any size, as float32."""

import csv
import io
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.text_file import TextFile

BLOCK_ROWS = 10_000
"""Rows that are converted at once."""

SEPARATORS = ",;\t"
"""What may stand between cells: the one that the first row has most of."""

_MISSING = frozenset({"", "nan", "na", "n/a", "#n/a", "null", "none", "missing", "?", "-", "."})
"""What people write where a number is missing, in lower case."""


@dataclass(frozen=True)
class NumericTable:
    """Some columns of a file.

    Attributes:
        names: of the columns.
        values: float32 [R, F].
        notes: what was left out.
        digest: of the file's content.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]
    notes: tuple[str, ...]
    digest: str | None


def read_numeric_table(path: str, columns: Sequence[str], rows: int) -> NumericTable:
    """Read the columns of these names, or all that are numbers and do not just count, and keep the last ``rows``.

    A line without any number is a header; without one, columns are named by their number from 1. What the first row of
    numbers has as text, such as a date, is no numeric column. A column that rises by the same step in every row, such
    as a year, only counts. Blank lines and lines that begin with ``#`` are passed over.

    Raises:
        TaskError: the file cannot be read; a line has another number of cells, or a cell that is not a finite number;
            there is no such column, or none that is numeric. Lines are counted from 1.
    """
    file = TextFile(path)
    blocks = file.blocks()
    head = next(blocks)
    first_row = next((line for line in head if line.strip() and not line.startswith("#")), "")
    separator = max(SEPARATORS, key=first_row.count)
    reader = _Rows(file, head, separator)
    first, names = reader.begin()
    if columns:
        chosen = [_position(path, name, names) for name in columns]
    else:
        chosen = [column for column, cell in enumerate(first) if _is_number(cell) or _is_missing(cell)]
        if not chosen:
            raise TaskError(f"{path} has no column of numbers: line {reader.line} is {', '.join(first)}"[:300])
    kept: deque[NDArray[np.float32]] = deque()
    counting = _Counting(len(chosen))
    total = 0
    after_header = chain([head[reader.line - 1 :]], blocks)
    for block in _numbers(reader, after_header, chosen, names):
        counting.add(block)
        kept.append(block.astype(np.float32))
        total += len(block)
        while sum(map(len, kept)) - len(kept[0]) >= rows:
            kept.popleft()
    values = np.concatenate(kept)[-rows:]
    notes = [f"{count:,} {what}" for what, count in reader.skipped.items()]
    if total > rows:
        notes.append(f"{total - rows:,} earlier rows dropped (rows)")
    if not columns:
        counts = counting.columns()
        if counts.all():
            raise TaskError(f"{path}: column {names[chosen[0]]!r} only counts the rows: to use it, give columns=NAME")
        left_out = [name for column, name in enumerate(names) if column not in chosen]
        counters = [names[column] for column, counter in zip(chosen, counts, strict=True) if counter]
        notes += [f"left out: {name}, which only counts" for name in counters]
        notes += [f"left out: {name}, which is text" for name in left_out]
        chosen = [column for column, counter in zip(chosen, counts, strict=True) if not counter]
        values = np.ascontiguousarray(values[:, ~counts])
    return NumericTable(tuple(names[column] for column in chosen), values, tuple(notes), file.digest)


def _numbers(
    reader: "_Rows", blocks: Iterator[list[str]], columns: list[int], names: list[str]
) -> Iterator[NDArray[np.float64]]:
    """The cells of these columns in blocks of rows: by pandas as long as nothing is out of the ordinary, which is fast.

    What comes then is read row by row, which knows what is wrong and where.
    """
    line = reader.line
    for block in blocks:
        values = _ordinary(block, reader.separator, columns, len(names))
        if values is None:
            rest = chain(block, chain.from_iterable(blocks))
            yield from reader.from_line(line, rest).blocks(columns, names)
            return
        yield values
        line += len(block)


def _ordinary(lines: list[str], separator: str, columns: list[int], width: int) -> NDArray[np.float64] | None:
    """The cells of these columns where each line is a row of so many cells and these are finite numbers, or None."""
    text = "\n".join(lines)
    if '"' in text or "#" in text or text.count(separator) != (width - 1) * len(lines):
        return None
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            header=None,
            usecols=columns,
            dtype=np.float64,
            index_col=False,
        )
    except ValueError:  # pandas' own errors are, too
        return None
    values = frame[columns].to_numpy()
    if len(values) != len(lines) or not (np.abs(values) <= np.finfo(np.float32).max).all():
        return None
    return values


class _Rows:
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

    def from_line(self, line: int, lines: Iterable[str]) -> "_Rows":
        """The rows of other lines of the file, with the same account of what is passed over."""
        rows = _Rows(self._file, lines, self.separator, line)
        rows.skipped = self.skipped
        return rows

    def begin(self) -> tuple[list[str], list[str]]:
        """The first row with a number, and the names of the columns."""
        first = self._next()
        if first is None:
            raise TaskError(f"{self._file.path} has no rows")
        if any(map(_is_number, first)):
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
        column = next(column for column in columns if not _is_number(row[column]))
        cell = row[column]
        if _is_missing(cell):
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


class _Counting:
    """Tells which columns rise or fall by the same step in every row."""

    def __init__(self, columns: int) -> None:
        self._counts = np.ones(columns, dtype=np.bool_)
        self._last: NDArray[np.float64] | None = None
        self._step: NDArray[np.float64] | None = None
        self._rows = 0

    def add(self, block: NDArray[np.float64]) -> None:
        """Take in rows [R, F]."""
        self._rows += len(block)
        joined = block if self._last is None else np.concatenate([self._last, block])
        steps = np.diff(joined, axis=0)
        if self._step is None and len(steps):
            self._step = steps[:1]
        if self._step is not None:
            tolerance = 1e-9 * np.abs(joined).max(0)
            self._counts &= (self._step[0] != 0) & (np.abs(steps - self._step) <= tolerance).all(0)
        self._last = block[-1:]

    def columns(self) -> NDArray[np.bool_]:
        """Which ones do; none of fewer than three rows."""
        return self._counts & (self._rows > 2)


def _position(path: str, name: str, names: list[str]) -> int:
    if name not in names:
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise TaskError(f"{path} has no column {name!r}: its columns are {shown}")
    return names.index(name)


def _is_number(cell: str) -> bool:
    """Whether a cell holds a number; what stands for a missing one does not."""
    try:
        float(cell)
    except ValueError:
        return False
    return not _is_missing(cell)


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in _MISSING
