"""The numbers of a table block by block: by pandas where all is in order, otherwise row by row."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradstudy.models.tasks.files.layout import Layout
from gradstudy.models.tasks.files.separator import BLANKS, whole_rows
from gradstudy.models.tasks.files.spelling import MISSING, is_number, read_number, without_unit
from gradstudy.models.tasks.files.table_rows import LARGEST, TableRows

_QUOTED = re.compile(r'"[^"\n]*"')


@dataclass(frozen=True)
class Block:
    """Some rows of a table.

    Attributes:
        values: of its numeric columns, NaN where they have a gap, [R, F].
        times: the cells of its columns of times, each R long.
        lines: where each row begins, int64 [R].
    """

    values: NDArray[np.float64]
    times: list[list[str]]
    lines: NDArray[np.int64]


def table_blocks(rows: TableRows, blocks: Iterator[list[str]]) -> Iterator[Block]:
    """The rows in these blocks of lines, the first of which begins where the layout's rows do.

    Raises:
        TaskError: a line is no row, or a cell is neither a number nor a gap.
    """
    line = rows.layout.first_line
    for lines in whole_rows(blocks):
        rows.look_for_missing(lines)
        block = _ordinary(lines, line, rows)
        if block is None:
            block = Block(*rows.read(lines, line))
        elif len(block.values):
            rows.check_nothing_is_between()
        yield block
        line += len(lines)
    rows.end()


def _ordinary(lines: list[str], first_line: int, rows: TableRows) -> Block | None:
    """The rows of a block; None unless each line is one, with numbers as pandas reads them."""
    layout = rows.layout
    text = "\n".join(lines)
    if not _are_rows(text, lines, layout):
        return None
    times = layout.times.columns if layout.times else ()
    kinds = {column: np.float64 if column in layout.numbers else str for column in chain(times, layout.numbers)}
    kinds |= dict.fromkeys(layout.spelled, str)
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=r"\s+" if layout.separator == BLANKS else layout.separator,
            header=None,
            usecols=list(kinds),
            dtype=kinds,
            decimal=layout.decimal,
            # Numbers that mean a gap are found by their values.
            na_values=[*_MISSING_AS_WRITTEN, *(word for word in layout.missing if not is_number(word))],
            keep_default_na=False,
            skipinitialspace=True,
            index_col=False,
        )
    except ValueError:  # pandas' own errors are, too
        return None
    if len(frame) != len(lines):
        return None
    for column in layout.spelled:
        numbers = [_number(cell, column, layout) for cell in frame[column]]
        if None in numbers:
            return None
        frame[column] = np.array(numbers, dtype=np.float64)
    values = frame[list(layout.numbers)].to_numpy(dtype=np.float64, copy=True)
    if (np.abs(values) > LARGEST).any():
        return None
    numbered = np.arange(first_line, first_line + len(lines))
    blank = [row for row in np.flatnonzero(np.isnan(values).all(1)).tolist() if _is_blank(lines[row], layout)]
    if blank:
        rows.skipped["blank lines"] += len(blank)
        values, numbered = np.delete(values, blank, 0), np.delete(numbered, blank)
        frame = frame.drop(index=blank)
    return Block(values, [frame[column].fillna("").astype(str).tolist() for column in times], numbered)


_MISSING_AS_WRITTEN = sorted({case(word) for word in MISSING for case in (str, str.upper, str.title)} | {"NaN"})


def _number(cell: object, column: int, layout: Layout) -> float | None:
    if not isinstance(cell, str):  # pandas has read it as missing
        return float("nan")
    return read_number(without_unit(cell, layout.units, column), layout.decimal)


def _are_rows(text: str, lines: list[str], layout: Layout) -> bool:
    """Whether every line has the cells of a row, and none is a comment."""
    if text.startswith("#") or "\n#" in text:
        return False
    if '"' in text:
        text = _QUOTED.sub("quoted", text)
        if '"' in text:
            return False
        lines = text.split("\n")
    if layout.separator == BLANKS:
        return all(len(line.split()) == layout.width for line in lines)
    signs = layout.width - 1
    return all(line.count(layout.separator) == signs for line in lines)


def _is_blank(line: str, layout: Layout) -> bool:
    return not line.replace(layout.separator, "").strip(' \t"')
