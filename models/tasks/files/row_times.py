"""The times of a table's rows: which columns have them, whether they run backwards, and where they have gaps."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_DAYS = (
    *("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%Y.%m.%d", "%Y%m%d", "%Y-%m", "%m/%Y"),
    *("%b %d, %Y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b-%y", "%b %Y", "%Y-%b", "%B %d, %Y", "%d.%m.%y", "%m/%d/%y"),
)
_CLOCKS = ("", "%H:%M:%S", "%H:%M", "%H.%M.%S", "%H:%M:%S.%f", "%I:%M:%S %p", "%I:%M %p", "%H")
_ISO = "ISO8601"
_CLOCK = re.compile(r"\d{1,2}[:.]\d{2}([:.]\d{2}(\.\d+)?)?(\s*[AaPp][Mm])?")
_DIGITS = re.compile(r"(19|20)\d{6}(\d{2}|\d{4}|\d{6})?")
_COMPACT = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}

NO_TIME = np.iinfo(np.int64).min
"""Stands where a row has no time."""

_USUAL_SHARE = 0.05
"""Share of the steps that one must have to be usual, such as that over a weekend."""


@dataclass(frozen=True)
class TimeColumns:
    """One column of times, or two of dates and of times of the day.

    Attributes:
        columns: their numbers.
        format: of the cells with a blank between them, as ``pandas.to_datetime`` takes it.
    """

    columns: tuple[int, ...]
    format: str

    def read(self, cells: Sequence[Sequence[str]]) -> NDArray[np.int64]:
        """Seconds since 1970 of each row from the cells of its columns; the lowest number where there is no time."""
        texts = cells[0] if len(cells) == 1 else [f"{day} {clock}" for day, clock in zip(*cells, strict=True)]
        return _seconds(texts, self.format)


def find_times(rows: Sequence[Sequence[str]], columns: Sequence[int]) -> TimeColumns | None:
    """The first of these columns of some rows that are times, with the next one where that is the time of the day."""
    for column in columns:
        cells = [row[column].strip() for row in rows]
        if not cells or not sum(any(map(str.isdigit, cell)) for cell in cells) > 0.9 * len(cells):
            continue
        after = column + 1
        if after in columns and all(_CLOCK.fullmatch(row[after].strip()) or not row[after].strip() for row in rows):
            together = _format_of([f"{cell} {row[after].strip()}" for cell, row in zip(cells, rows, strict=True)])
            if together:
                return TimeColumns((column, after), together)
        if found := _format_of(cells):
            return TimeColumns((column,), found)
    return None


def is_compact(cells: Sequence[str]) -> bool:
    """Whether whole numbers are times without a sign between year, month and day, such as 20110131."""
    lengths = {len(cell.strip()) for cell in cells}
    return (
        len(lengths) == 1 and all(_DIGITS.fullmatch(cell.strip()) for cell in cells) and _format_of(cells) is not None
    )


def _format_of(cells: Sequence[str]) -> str | None:
    """The format that nearly all cells have; of several, the one in which time goes back least often."""
    filled = [cell for cell in cells if cell.strip()]
    if not filled:
        return None
    if all(map(str.isdecimal, filled)):
        compact = _COMPACT.get(len(filled[0]))
        return compact if compact and _share(filled, compact) == 1 else None
    formats = [_ISO, *(f"{day} {clock}".strip() for day, clock in product(_DAYS, _CLOCKS))]
    formats += [f"{day}T{clock}" for day, clock in product(_DAYS[:1], _CLOCKS[1:])]
    few = filled[:: max(1, len(filled) // 20)][:20]
    fitting = [each for each in formats if _share(few, each) > 0.8 and _share(filled, each) > 0.9]
    return min(fitting, key=lambda each: _turns(filled, each), default=None)


def _share(cells: Sequence[str], form: str) -> float:
    return float((_seconds(cells, form) != NO_TIME).mean())


def _turns(cells: Sequence[str], form: str) -> int:
    seconds = _seconds(cells, form)
    steps = np.sign(np.diff(seconds[seconds != NO_TIME]))
    return int(min((steps < 0).sum(), (steps > 0).sum()))


def _seconds(cells: Sequence[str], form: str) -> NDArray[np.int64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of formats that are only tried
        times = pd.to_datetime(pd.Series(cells, dtype=object), format=form, errors="coerce", utc=True)
    missing = times.isna().to_numpy()
    seconds = times.dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)
    seconds[missing] = NO_TIME
    return seconds


class TimeOrder:
    """Follows the times of rows, block by block.

    Attributes:
        backwards: whether the rows of the first block run from the newest to the oldest.
    """

    def __init__(self) -> None:
        self.backwards = False
        self._last: int | None = None
        self._usual: int | None = None
        self._returns = 0
        self._first_return: int | None = None
        self._gaps = 0
        self._longest = (0, 0)

    def add(self, seconds: NDArray[np.int64], lines: NDArray[np.int64]) -> None:
        """Take in the times of the rows on these lines."""
        lines, known = lines[seconds != NO_TIME], seconds[seconds != NO_TIME]
        if self._last is not None:
            known, lines = np.concatenate([[self._last], known]), np.concatenate([[0], lines])
        steps = np.diff(known)
        if self._usual is None and len(steps):
            self.backwards = bool((steps < 0).sum() > 10 * (steps > 0).sum())
            self._usual = _usual(np.abs(steps[steps != 0]))
        if self.backwards:
            steps = -steps
        back = np.flatnonzero(steps < 0)
        if len(back) and self._first_return is None:
            self._first_return = int(lines[back[0] + 1])
        self._returns += len(back)
        if self._usual:
            wide = np.flatnonzero(steps > 2 * self._usual)
            self._gaps += len(wide)
            if len(wide):
                widest = int(wide[steps[wide].argmax()])
                before = int(known[widest + 1] if self.backwards else known[widest])
                self._longest = max(self._longest, (int(steps[widest]), before))
        if len(known):
            self._last = int(known[-1])

    def hazards(self) -> list[str]:
        """What is wrong with the order of the rows, in sentences."""
        found = []
        if self._returns:
            times = "once" if self._returns == 1 else f"{self._returns:,} times"
            found.append(
                f"time goes back {times}, first at line {self._first_return:,}: windows run across that place; "
                "sort the rows by time, or keep one series to a file"
            )
        if self._gaps:
            seconds, before = self._longest
            some = "1 gap" if self._gaps == 1 else f"{self._gaps:,} gaps"
            found.append(
                f"{some} in time, the longest of {_duration(seconds)} after {np.datetime64(before, 's')}: "
                "windows run across them".replace("T", " ")
            )
        return found


def _usual(steps: NDArray[np.int64]) -> int | None:
    """The largest step that is usual."""
    sizes, counts = np.unique(steps, return_counts=True)
    usual = sizes[counts >= max(2, _USUAL_SHARE * len(steps))]
    return int(usual.max()) if len(usual) else None


def _duration(seconds: int) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds} seconds"
