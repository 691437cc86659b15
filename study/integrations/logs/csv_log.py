"""Tables with a heading: Lightning's metrics.csv, Keras' CSVLogger, exports of TensorBoard, W&B and MLflow, one's own.

A table is wide, with a column for each quantity; long, with one for their names and one for their values; or has a
column for each run and quantity, as W&B's charts.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from gradstudy.study.integrations.logs.entry import Entry, Wanted, number
from gradstudy.study.integrations.logs.text_file import lines, opened_text

DELIMITERS = ",;\t| "
"""A blank only where nothing else separates."""
DECIMAL_COMMA_BESIDE = ";"
"""Where columns are separated by semicolons, a comma is that of a decimal."""
COMMENT = "# "
"""May stand before a heading."""
NAMES, VALUES = ("metric", "key", "tag", "name"), ("value", "val")
"""How a long table calls its columns."""
RUNS = ("run", "runid", "runuuid", "runname", "trial", "experiment")
CHART = re.compile(r"(?P<run>.+) - (?P<column>\S+)")
"""A column of a chart of W&B."""
CHART_BOUNDS = ("__MIN", "__MAX")
LEAST_SHARE = 0.5
"""Of the cells of the first rows that must be numbers or empty, for a text to be a table."""

Read = Callable[[list[str]], Entry | None]


def delimiter(heading: str) -> str | None:
    """What separates the columns of a heading; None where nothing does."""
    counts = {each: heading.strip().count(each) for each in DELIMITERS}
    best = max(DELIMITERS.strip(" "), key=lambda each: counts[each])
    return best if counts[best] else " " if counts[" "] else None


def is_table(first: Sequence[str]) -> bool:
    """Whether the first lines of a text are a heading of words and rows of as many cells."""
    rows = [line for line in first if line.strip()]
    if len(rows) < 2 or (separator := delimiter(rows[0])) is None:
        return False
    rows[0] = rows[0].lstrip(COMMENT)
    rows[1:] = [_with_points(row, separator) for row in rows[1:]]
    heading, *parsed = csv.reader(rows, delimiter=separator, skipinitialspace=True)
    if any(number(cell) is not None for cell in heading) or any(len(row) != len(heading) for row in parsed):
        return False
    cells = [cell for row in parsed for cell in row]
    numeric = sum(number(cell) is not None or not cell.strip() for cell in cells)
    return numeric >= LEAST_SHARE * len(cells) or _is_long(heading)


def read_csv_log(path: Path, wanted: Wanted = None) -> Iterator[Entry]:
    """The rows of a table."""
    with opened_text(path) as file:
        yield from _rows(file, path, wanted)


def _rows(file: TextIO, path: Path, wanted: Wanted) -> Iterator[Entry]:
    text = lines(file)
    first = next((line for line in text if line.strip()), "").lstrip(COMMENT)
    separator = delimiter(first) or ","
    heading = [cell.strip() for cell in next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])]
    if separator == DECIMAL_COMMA_BESIDE:
        text = (line.replace(",", ".") for line in text)
    rows = csv.reader(text, delimiter=separator, skipinitialspace=True)
    if _is_long(heading):
        read = _long(heading, wanted)
    elif _is_chart(heading):
        yield from _chart(heading, rows, wanted)
        return
    else:
        read = _wide(heading, path, wanted)
    while True:
        try:
            row = next(rows, None)
        except csv.Error:  # a cell longer than any number
            continue
        if row is None:
            return
        if (entry := read(row)) is not None:
            yield entry


def _with_points(line: str, separator: str) -> str:
    return line.replace(",", ".") if separator == DECIMAL_COMMA_BESIDE else line


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _place(heading: Sequence[str], names: Sequence[str]) -> int | None:
    return next((place for place, cell in enumerate(heading) if _plain(cell) in names), None)


def _is_long(heading: Sequence[str]) -> bool:
    return _place(heading, NAMES) is not None and _place(heading, VALUES) is not None


def _is_chart(heading: Sequence[str]) -> bool:
    return len(heading) > 1 and all(CHART.fullmatch(cell) for cell in heading[1:])


def _wide(heading: Sequence[str], path: Path, wanted: Wanted) -> Read:
    # TensorBoard's own export has no names of quantities but in that of the file.
    names = [_named(path) if _plain(cell) in VALUES else cell for cell in heading]
    places = [(place, name) for place, name in enumerate(names) if wanted is None or name in wanted]
    run_place = _place(heading, RUNS)

    def read(row: list[str]) -> Entry | None:
        cells = len(row)
        values = {}
        for place, name in places:
            if place < cells and (cell := row[place]):
                try:
                    values[name] = float(cell)
                except ValueError:
                    if (value := number(cell)) is not None:
                        values[name] = value
        return Entry(row[run_place] if run_place is not None and run_place < cells else "", values)

    return read


def _named(path: Path) -> str:
    stem = path.name.removesuffix(".gz").removesuffix(".csv")
    return stem.rpartition("tag-")[2] or stem


def _long(heading: Sequence[str], wanted: Wanted) -> Read:
    name_place, value_place, run_place = (_place(heading, each) for each in (NAMES, VALUES, RUNS))
    others = [
        (place, cell)
        for place, cell in enumerate(heading)
        if place not in (name_place, value_place, run_place) and (wanted is None or cell in wanted)
    ]

    def read(row: list[str]) -> Entry | None:
        if len(row) != len(heading) or name_place is None or value_place is None:
            return None
        name, value = row[name_place], number(row[value_place])
        if value is None or (wanted is not None and name not in wanted):
            return None
        values = {cell: at for place, cell in others if (at := number(row[place])) is not None}
        return Entry("" if run_place is None else row[run_place], values | {name: value})

    return read


def _chart(heading: Sequence[str], rows: Iterator[list[str]], wanted: Wanted) -> Iterator[Entry]:
    step = heading[0]
    columns = []
    for place, cell in enumerate(heading):
        found = CHART.fullmatch(cell)
        if found and not cell.endswith(CHART_BOUNDS) and (wanted is None or found["column"] in wanted):
            columns.append((place, found["run"], found["column"]))
    for row in rows:
        at = number(row[0]) if row else None
        if at is not None and len(row) == len(heading):
            for place, run, column in columns:
                if (value := number(row[place])) is not None:
                    yield Entry(run, {step: at, column: value})
