"""The numeric columns of a table of any size, as float32."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.files.counting import Counting
from gradstudy.models.tasks.files.layout import Layout, Reading, recognise
from gradstudy.models.tasks.files.outliers import far_from_the_rest
from gradstudy.models.tasks.files.row_times import NO_TIME, TimeOrder
from gradstudy.models.tasks.files.skipped import skipped_in_words
from gradstudy.models.tasks.files.spelling import POINT, read_number
from gradstudy.models.tasks.files.table_blocks import Block, table_blocks
from gradstudy.models.tasks.files.table_rows import TableRows
from gradstudy.models.tasks.files.text_file import LATIN_1, TextFile

GAPS = {
    "forward": "filled forward",
    "interpolate": "interpolated",
    "drop": "dropped",
    "error": "refused",
}
"""What can become of rows with a gap."""

DEFAULT_GAPS = "forward"

_MOSTLY_MISSING = 0.5
"""Share of gaps from which a column is left out unless it is named."""

_LAST_ROWS = 5
"""Rows at the end that can be sums, where all before them have a time."""


@dataclass(frozen=True)
class NumericTable:
    """Some columns of a file.

    Attributes:
        names: of the columns.
        values: float32 [R, F].
        words: how the file was read.
        left_out: each column that was left out, with why.
        all_columns: how many the file has.
        notes: what became of rows.
        hazards: what is odd about the numbers or their order, in sentences.
        has_decimals: whether a number has a decimal sign.
        has_gaps: whether a row had a gap.
        digest: of the file's content.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]
    words: str
    left_out: tuple[str, ...]
    all_columns: int
    notes: tuple[str, ...]
    hazards: tuple[str, ...]
    has_decimals: bool
    has_gaps: bool
    digest: str | None


def read_numeric_table(path: str, said: Reading, rows: int, gaps: str = "error") -> NumericTable:
    """Read the columns that were named, or all that are numbers and do not just count, and keep ``rows`` rows.

    Kept are the last rows, in the order of their time: of a file that begins with the newest row they are the first
    ones, turned around.

    Raises:
        TaskError: the file cannot be read, is no table or has no numbers; a line or cell is wrong, or what was said of
            the file does not fit. Lines are counted from 1.
    """
    file = TextFile(path)
    blocks = file.blocks()
    head = next(blocks)
    layout = recognise(path, head, said)
    reader = TableRows(file, layout)
    body = chain([head[layout.first_line - 1 :]], blocks)
    kept = _Kept(layout, rows, gaps)
    for block in table_blocks(reader, body):
        kept.add(block, file)
    if not kept.total:
        raise TaskError(f"{path} has a header and no rows")
    values = kept.values()
    notes = skipped_in_words(reader.skipped) + kept.notes()
    values, names, left_out = _of_use(path, values, kept.counting.columns(), layout, said)
    hazards = [*kept.order.hazards(), *far_from_the_rest(values, names), *reader.unused(kept.found)]
    values, filled = _without_gaps(path, values, names, gaps)
    if file.encoding == LATIN_1:
        notes.append("text in Latin-1")
    return NumericTable(
        names=names,
        values=values,
        words=layout.words,
        left_out=tuple(left_out),
        all_columns=layout.width - len(layout.unnamed),
        notes=(*notes, *filled),
        hazards=tuple(hazards),
        has_decimals=layout.has_decimals,
        has_gaps=bool(filled),
        digest=file.digest,
    )


class _Kept:
    """The rows that are kept of those that were read.

    Attributes:
        total: how many rows were read.
        backwards: whether the file begins with its newest row.
        order: of their times.
        counting: which columns only count them.
    """

    def __init__(self, layout: Layout, rows: int, gaps: str) -> None:
        self.total = 0
        self.backwards = False
        self.order = TimeOrder()
        self.counting = Counting(len(layout.numbers))
        self._layout = layout
        self._rows = rows
        self._gaps = gaps
        self.found: set[str] = set()
        """The user's words for a gap that stood in the table, as numbers."""
        self._missing = {word: number for word in layout.missing if (number := read_number(word, POINT)) is not None}
        self._blocks: deque[NDArray[np.float32]] = deque()
        self._without_time = 0

    def add(self, block: Block, file: TextFile) -> None:
        """Take in some rows; raises TaskError where one has a gap that is to be refused."""
        values = block.values
        if not len(values):
            return
        rounded = values.astype(np.float32) if self._missing else values
        for word, number in self._missing.items():
            gap = rounded == np.float32(number)
            if gap.any():
                self.found.add(word)
            values[gap] = np.nan
        if self._gaps == "error":
            self._check_gaps(block, file)
        if self._layout.times is not None:
            self._follow(self._layout.times.read(block.times), block)
        self.counting.add(values)
        if not self.total:
            self.backwards = self.order.backwards or (self._layout.times is None and self.counting.falls())
        self.total += len(values)
        self._blocks.append(values.astype(np.float32))
        while self.backwards and sum(map(len, self._blocks)) - len(self._blocks[-1]) >= self._rows:
            self._blocks.pop()
        while not self.backwards and sum(map(len, self._blocks)) - len(self._blocks[0]) >= self._rows:
            self._blocks.popleft()

    def values(self) -> NDArray[np.float32]:
        """The rows in the order of their time, without sums below them."""
        values = np.concatenate(self._blocks)
        if self.backwards:
            return values[: min(self._rows, self.total - self._sums)][::-1]
        return values[: len(values) - self._sums][-self._rows :]

    def notes(self) -> list[str]:
        """What became of the rows."""
        rows = "1 row" if self._sums == 1 else f"{self._sums} rows"
        found = [f"{rows} without a time at the end left out"] if self._sums else []
        found += ["rows turned around, as the newest came first"] if self.backwards else []
        dropped = self.total - self._sums - self._rows
        return found + ([f"{dropped:,} earlier rows dropped (rows)"] if dropped > 0 else [])

    @property
    def _sums(self) -> int:
        """How many rows at the end are none of the series."""
        return self._without_time if self._without_time <= min(_LAST_ROWS, self.total // 4) else 0

    def _follow(self, seconds: NDArray[np.int64], block: Block) -> None:
        self.order.add(seconds, block.lines)
        timed = np.flatnonzero(seconds != NO_TIME)
        last = int(timed[-1]) if len(timed) else -1 - self._without_time
        self._without_time = len(seconds) - 1 - last

    def _check_gaps(self, block: Block, file: TextFile) -> None:
        missing = np.argwhere(np.isnan(block.values))
        if len(missing):
            row, column = missing[0].tolist()
            name = self._layout.names[self._layout.numbers[column]]
            raise file.error(
                int(block.lines[row]),
                f"the cell of column {name!r} is missing: gaps=forward, gaps=interpolate and gaps=drop fill it or drop "
                "the row, columns=NAME,NAME takes other columns",
            )


def _of_use(
    path: str, values: NDArray[np.float32], counts: NDArray[np.bool_], layout: Layout, said: Reading
) -> tuple[NDArray[np.float32], tuple[str, ...], list[str]]:
    """The columns to forecast with their names, and why others are left out."""
    names = [layout.names[column] for column in layout.numbers]
    if said.columns:
        return np.ascontiguousarray(values), tuple(names), []
    missing = np.isnan(values).mean(0)
    sparse = missing > _MOSTLY_MISSING
    if counts.all():
        raise TaskError(f"{path}: column {names[0]!r} only counts the rows: to use it, give columns=NAME")
    use = ~counts & ~sparse
    if not use.any():
        first = int(np.argmax(~counts))
        raise TaskError(
            f"{path}: {missing[first]:.0%} of column {names[first]!r} is missing: to use it as it is, give columns=NAME"
        )
    times = layout.times.columns if layout.times else ()
    left_out = [f"{layout.names[column]} (time)" for column in times]
    known = {*layout.numbers, *times, *layout.unnamed}
    left_out += [f"{name} (text)" for column, name in enumerate(layout.names) if column not in known]
    left_out += [f"{name} (only counts)" for name, counter in zip(names, counts, strict=True) if counter]
    left_out += [
        f"{name} ({'empty' if share == 1 else f'{share:.0%} missing'})"
        for name, share, counter in zip(names, missing.tolist(), counts, strict=True)
        if share > _MOSTLY_MISSING and not counter
    ]
    kept = tuple(name for name, used in zip(names, use, strict=True) if used)
    return np.ascontiguousarray(values[:, use]), kept, left_out


def _without_gaps(
    path: str, values: NDArray[np.float32], names: Sequence[str], gaps: str
) -> tuple[NDArray[np.float32], list[str]]:
    """The rows with their gaps filled or without them, and what was done."""
    missing = np.isnan(values)
    rows = int(missing.any(1).sum())
    if not rows:
        return values, []
    if missing.all(0).any():
        raise TaskError(
            f"{path}: column {names[int(missing.all(0).argmax())]!r} has no number in the rows that are kept"
        )
    if gaps == "drop":
        values = values[~missing.any(1)]
        if not len(values):
            raise TaskError(f"{path}: every row has a gap, so gaps=drop leaves none: gaps=forward fills them")
    else:
        frame = pd.DataFrame(values)
        # Before the first number of a column there is only what follows.
        filled = frame.ffill().bfill() if gaps == "forward" else frame.interpolate(limit_direction="both")
        values = filled.to_numpy(dtype=np.float32, copy=True)
    counts = missing.sum(0)
    most = int(counts.argmax())
    of = f", most of them in {names[most]}: {counts[most]:,}" if len(names) > 1 and counts[most] < rows else ""
    return values, [f"{rows:,} {'row' if rows == 1 else 'rows'} with gaps {GAPS[gaps]}{of}"]
