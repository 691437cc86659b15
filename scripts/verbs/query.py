"""``gradstudy query "SELECT ..."``: read-only SQL against the results."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gradstudy.scripts.options import Storage
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from gradstudy.storage.database import Database

LONGEST_TIMEOUT = 1_000_000.0
"""Seconds, nearly twelve days: PostgreSQL counts milliseconds in 31 bits."""
STEPS = re.compile(r"\b(step_result|gradstudy_step)\b", re.IGNORECASE)
"""What a statement that reads steps names."""


def _checked_timeout(seconds: float) -> float:
    if not 0 <= seconds <= LONGEST_TIMEOUT:
        raise typer.BadParameter(f"a timeout is 0 (never) to {LONGEST_TIMEOUT:g} seconds, but got {seconds:g}")
    return seconds


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement that only reads.")],
    storage: Storage = DEFAULT_STORAGE,
    form: Annotated[
        Literal["table", "csv", "json", "parquet"], typer.Option("--format", help="How the rows are written.")
    ] = "table",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write them.", show_default="standard output"),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(callback=_checked_timeout, metavar="SECONDS", help="Stop the query after this long; 0 for never."),
    ] = 60.0,
) -> None:
    """Run read-only SQL; trial_result, step_result and setting_summary are made for it."""
    from gradstudy.scripts.output.output_file import opened
    from gradstudy.scripts.output.parquet_rows import check_parquet
    from gradstudy.scripts.output.row_formats import WRITERS
    from gradstudy.storage.database import Database
    from gradstudy.storage.queries import run_query

    if form == "parquet":
        check_parquet(output)
    with (
        Database.open(storage) as database,
        run_query(database, sql, limit_seconds=timeout or None) as answer,
        opened(output) as file,
    ):
        if answer.has_more_rights:
            typer.echo(
                f"gradstudy: this query has all rights of its user, as {database.display_url} has no role that may "
                "only read; a user who has no right but SELECT is safer",
                err=True,
            )
        WRITERS[form](answer.columns, answer.chunks, file)
        _say_what_is_elsewhere(database, sql)


def _say_what_is_elsewhere(database: "Database", sql: str) -> None:
    """Say which steps a statement about steps has not seen."""
    from gradstudy.storage.archive.records import archives

    if STEPS.search(sql):
        for name, folder in archives(database).items():
            typer.echo(
                f"gradstudy: no row is of the steps of study {name!r} that are archived; they are in {folder}",
                err=True,
            )
