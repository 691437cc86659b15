"""Rows of a query as text, written while they come: an answer of any size fits in memory."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, BinaryIO, TextIO

from gradstudy.scripts.output.distinct_names import distinct_names
from gradstudy.scripts.output.parquet_rows import write_parquet
from gradstudy.scripts.printable import printable
from gradstudy.storage.json_values import json_value

Chunks = Iterable[Sequence[Sequence[Any]]]
WIDEST = 100_000
"""Columns of a table that is not read on a terminal: no line is folded."""


def write_table(columns: list[str], chunks: Chunks, file: BinaryIO) -> None:
    """Write aligned columns. Later rows that are wider than all before them move their columns to the right."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    from gradstudy.study.report.plain_console import plain_table

    columns = [_shown(column) for column in columns]
    with _text(file) as stream:
        console = Console(file=stream)
        if not console.is_terminal:
            console.width = WIDEST
        widths = [cell_len(column) for column in columns]
        for number, rows in enumerate(_at_least_one(chunks)):
            texts = [[_shown(value) for value in row] for row in rows]
            widths = [max([width, *map(cell_len, cells)]) for width, *cells in zip(widths, *texts, strict=True)]
            table = plain_table(with_headings=number == 0)
            for column, width in zip(columns, widths, strict=True):
                # As plain text: brackets in the results are no markup.
                table.add_column(Text(column), overflow="fold", min_width=min(width, console.width))
            for cells in texts:
                table.add_row(*map(Text, cells))
            console.print(table)


def write_csv(columns: list[str], chunks: Chunks, file: BinaryIO) -> None:
    """Write comma-separated values (RFC 4180) in UTF-8."""
    with _text(file) as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for rows in chunks:
            writer.writerows(rows)


def write_json(columns: list[str], chunks: Chunks, file: BinaryIO) -> None:
    """Write one JSON array of objects; numbers that are not finite, which JSON does not have, are null."""
    names = distinct_names(columns)
    with _text(file) as stream:
        separator = "["
        for rows in chunks:
            for row in rows:
                values = {column: json_value(value) for column, value in zip(names, row, strict=True)}
                stream.write(f"{separator}\n{json.dumps(values, default=str, allow_nan=False)}")
                separator = ","
        stream.write("\n]\n" if separator == "," else "[\n]\n")


WRITERS: Mapping[str, Callable[[list[str], Chunks, BinaryIO], None]] = MappingProxyType(
    {"table": write_table, "csv": write_csv, "json": write_json, "parquet": write_parquet}
)


@contextmanager
def _text(file: BinaryIO) -> Iterator[TextIO]:
    stream = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    try:
        yield stream
        stream.flush()
    finally:
        stream.detach()  # the file is closed by who opened it


def _at_least_one(chunks: Chunks) -> Chunks:
    empty = True
    for rows in chunks:
        empty = False
        yield rows
    if empty:
        yield []


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else printable(str(value)).replace("\n", "\\n")
