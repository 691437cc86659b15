"""The numeric columns of a CSV file of any size, as float32."""

import io
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.files.csv_rows import CsvRows, is_missing, is_number
from gradstudy.models.tasks.files.text_file import TextFile

SEPARATORS = ",;\t"
"""What may stand between cells: the one that the first row has most of."""


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
    reader = CsvRows(file, head, separator)
    first, names = reader.begin()
    if columns:
        chosen = [_position(path, name, names) for name in columns]
    else:
        chosen = [column for column, cell in enumerate(first) if is_number(cell) or is_missing(cell)]
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
    reader: CsvRows, blocks: Iterator[list[str]], columns: list[int], names: list[str]
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
    """The cells of these columns; None unless every line has ``width`` cells and these are finite numbers."""
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
