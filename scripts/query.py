"""``gradstudy query "SELECT ..."``: read-only SQL against the results."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Annotated, Any, Literal

import typer

from gradstudy.scripts.options import DEFAULT_STORAGE, Storage

Rows = Iterator[Sequence[Any]]


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement that only reads.")],
    storage: Storage = DEFAULT_STORAGE,
    form: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", help="How the rows are written.")
    ] = "table",
    limit_seconds: Annotated[float, typer.Option(min=0, help="Stop the query after this long.")] = 60.0,
) -> None:
    """Run read-only SQL; trial_result, step_result and setting_summary are made for it."""
    from gradstudy.storage.database import Database
    from gradstudy.storage.queries import run_query

    write = {"table": _write_table, "csv": _write_csv, "json": _write_json}[form]
    with (
        Database.open(storage) as database,
        run_query(database, sql, limit_seconds=limit_seconds) as (columns, chunks),
    ):
        write(columns, chain.from_iterable(chunks))


def _write_table(columns: list[str], rows: Rows) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # As plain text: brackets in the results are no markup.
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    Console().print(table)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _write_csv(columns: list[str], rows: Rows) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    writer.writerows(rows)


def _write_json(columns: list[str], rows: Rows) -> None:
    """Write one JSON array, row by row, so that an answer of any size fits in memory."""
    sys.stdout.write("[")
    for number, row in enumerate(rows):
        sys.stdout.write(",\n" if number else "\n")
        json.dump(dict(zip(columns, row, strict=True)), sys.stdout, default=str)
    sys.stdout.write("\n]\n")
