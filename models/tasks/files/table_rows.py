"""The rows of a table one by one, with what is wrong said by line and column."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from shlex import quote

import numpy as np
from numpy.typing import NDArray

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.files.layout import Layout
from gradstudy.models.tasks.files.separator import split_rows
from gradstudy.models.tasks.files.spelling import COMMA, POINT, is_number, read_number, without_unit
from gradstudy.models.tasks.files.text_file import TextFile

LARGEST = float(np.finfo(np.float32).max)

_INFINITE = frozenset(("inf", "infinity"))

_SHORT = 40
"""Length of a cell that is shown whole."""

_NAMED = 5
"""Cells that are named in the sentence about those that are no numbers."""


class TableRows:
    """Reads rows, and remembers what lies between and below them.

    Attributes:
        layout: of the table.
        skipped: lines that were passed over, by reason.
    """

    def __init__(self, file: TextFile, layout: Layout) -> None:
        self.layout = layout
        self.skipped: Counter[str] = Counter()
        self._file = file
        self._below: list[TaskError] = []
        self._unseen = set(layout.missing)

    def read(
        self, lines: Sequence[str], first_line: int
    ) -> tuple[NDArray[np.float64], list[list[str]], NDArray[np.int64]]:
        """The values, cells of time and lines of the rows in these lines, the first of which has this number.

        Raises:
            TaskError: a line is no row, or a cell is neither a number nor a gap.
        """
        layout = self.layout
        times = layout.times.columns if layout.times else ()
        values: list[list[float]] = []
        cells_of_time: list[list[str]] = [[] for _ in times]
        begins: list[int] = []
        rows = self._rows(lines, first_line)
        for line, row in rows:
            numbers = [self._number(row, column) for column in layout.numbers]
            if None in numbers:
                if self._is_row(row, numbers):
                    raise self._wrong_cell(line, row, numbers, self._other_words(rows))
                self._below.append(self._wrong_cell(line, row, numbers, ()))
                continue
            self.check_nothing_is_between()
            values.append([number for number in numbers if number is not None])
            begins.append(line)
            for cells, column in zip(cells_of_time, times, strict=True):
                cells.append(row[column])
        shaped = np.array(values, dtype=np.float64).reshape(len(values), len(layout.numbers))
        return shaped, cells_of_time, np.array(begins, dtype=np.int64)

    def look_for_missing(self, lines: Sequence[str]) -> None:
        """Notice which of the user's own words for a gap stand in these lines."""
        self._unseen = {word for word in self._unseen if not any(word in line for line in lines)}

    def unused(self, found: AbstractSet[str]) -> list[str]:
        """What the user has said of the file that is not so, in sentences; ``found`` are words that it has."""
        return [
            f"{quote(f'missing={word}')} changes nothing: there is no such cell"
            for word in sorted(self._unseen - found)
        ]

    def check_nothing_is_between(self) -> None:
        """Raise TaskError where a row follows a line that is none."""
        if self._below:
            raise self._below[0]

    def end(self) -> None:
        """What was no row had none after it."""
        if self._below:
            self.skipped["lines below the table"] += len(self._below)

    def _rows(self, lines: Sequence[str], first_line: int) -> Iterator[tuple[int, list[str]]]:
        """The lines that are as wide as the table, or can be filled up or cut off to be."""
        width = self.layout.width
        begins = first_line
        rows = split_rows(lines, self.layout.separator)
        while True:
            try:
                ends, row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                raise self._file.error(begins, f"it is not CSV: {error}") from None
            line, begins = begins, first_line + ends
            if not any(cell.strip() for cell in row):
                self.skipped["blank lines"] += 1
            elif row[0].startswith("#"):
                self.skipped["comments"] += 1
            elif row in self.layout.header:
                self.skipped["repeated header rows"] += 1
            elif len(row) == width or not any(cell.strip() for cell in row[width:]):
                if len(row) < width and not self._can_be_filled(row):
                    self._below.append(self._wrong_width(line, row))
                    continue
                self.skipped["rows with too few cells"] += len(row) < width
                yield line, row[:width] + [""] * (width - len(row))
            elif any(is_number(row[column], self.layout.decimal) for column in self.layout.numbers):
                raise self._wrong_width(line, row)
            else:
                self._below.append(self._wrong_width(line, row))

    def _is_row(self, row: list[str], numbers: Sequence[float | None]) -> bool:
        """Whether a line with a cell that is no number has others that are, so that it is no text below the table."""
        if any(number is not None and number == number for number in numbers):
            return True
        cells = [row[column].strip() for column in self.layout.numbers]
        return any(is_number(cell, self.layout.decimal) or cell.lstrip("+-").lower() in _INFINITE for cell in cells)

    def _can_be_filled(self, row: list[str]) -> bool:
        """Whether a row that ends early has numbers where they belong."""
        numbers = [self._number(row, column) for column in self.layout.numbers if column < len(row)]
        return None not in numbers and any(number == number for number in numbers)

    def _number(self, row: list[str], column: int) -> float | None:
        cell = row[column].strip()
        if cell in self.layout.missing:
            return float("nan")
        value = read_number(without_unit(cell, self.layout.units, column), self.layout.decimal)
        return None if value is not None and abs(value) > LARGEST else value

    def _wrong_width(self, line: int, row: list[str]) -> TaskError:
        cells = "1 cell" if len(row) == 1 else f"{len(row)} cells"
        hint = "cells that hold the separator need quotes"
        if len(row) < self.layout.width:
            hint = "what is no row of the table must stand above or below it, or begin with #"
        return self._file.error(line, f"it has {cells} where the lines before have {self.layout.width}: {hint}")

    def _wrong_cell(
        self, line: int, row: list[str], numbers: Sequence[float | None], others: Iterable[str]
    ) -> TaskError:
        """The error of a row's first cell that is no number, and how it and others can be read."""
        column = self.layout.numbers[list(numbers).index(None)]
        name, cell = self.layout.names[column], row[column].strip()
        shown = cell if len(cell) <= _SHORT else f"{cell[:_SHORT]}..."
        other = COMMA if self.layout.decimal == POINT else POINT
        if is_number(cell, self.layout.decimal):
            what = f"is {shown}, which float32 cannot hold"
        else:
            what = f"is {shown!r}, which is not a number"
        if is_number(cell, other) and not is_number(cell, self.layout.decimal):
            hint = f"--task-option decimal={'comma' if other == COMMA else 'point'} reads it"
        else:
            words = [word for word in dict.fromkeys([cell, *others]) if _can_be_given(word)]
            given = quote("missing=" + ",".join(words[:_NAMED]))
            hints = [f"--task-option {given} reads it as a gap"] if _can_be_given(cell) else []
            hints += ["columns=NAME,NAME takes other columns"] if len(self.layout.names) > 1 else []
            hint = ", ".join(hints) or "each row must hold numbers"
        return self._file.error(line, f"the cell of column {name!r} {what}: {hint}")

    def _other_words(self, rest: Iterator[tuple[int, list[str]]]) -> Iterator[str]:
        """What else stands where numbers are."""
        with suppress(TaskError):
            for _, row in rest:
                for column in self.layout.numbers:
                    if self._number(row, column) is None:
                        yield row[column].strip()


def _can_be_given(word: str) -> bool:
    """Whether a command line can say that a cell of this text is a gap."""
    return len(word) <= _SHORT and word.isprintable() and "," not in word and bool(word)
