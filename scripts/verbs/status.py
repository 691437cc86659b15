"""``gradstudy status [NAME]``: how far the studies are."""

from typing import Annotated

import typer

from gradstudy.scripts.options import Storage
from gradstudy.scripts.printable import sentence
from gradstudy.storage.default_storage import DEFAULT_STORAGE


def status(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of the study.", show_default="every study")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Show progress, outcomes so far and workers."""
    from gradstudy.storage.database import Database
    from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
    from gradstudy.storage.set_aside import reasons
    from gradstudy.storage.studies import find_study, list_studies
    from gradstudy.storage.workers import living_workers
    from gradstudy.study.report.plain_console import plain_console, plain_table
    from gradstudy.study.search.phases import phase_name
    from gradstudy.study.spec.study_spec import stored_spec

    table = plain_table()
    with Database.open(storage) as database:
        records = [find_study(database, name)] if name else list_studies(database)
        counts = [count_outcomes(database.engine, record) for record in records]
        workers = living_workers(database.engine)
        set_aside = reasons(database.engine)
    table.add_column("study")
    headings = [*dict.fromkeys(heading for row in counts for heading in row if heading != REMAINING), REMAINING]
    for heading in ("trials", *headings):
        table.add_column(heading, justify="right")
    table.add_column("phase")
    for record, row in zip(records, counts, strict=True):
        begun = record.budget - row[REMAINING]
        phase = phase_name(stored_spec(record), begun) if row[REMAINING] or row[RUNNING] else None
        table.add_row(record.name, str(record.budget), *(str(row.get(heading, 0)) for heading in headings), phase or "")
    if records:
        plain_console().print(table)
        places = ", ".join(f"{count} on {host} ({device})" for (host, device), count in workers.items())
        typer.echo(f"workers: {places or 'none'}")
        for record in records:
            for reason in set_aside.get(record.study_id, []):
                again = "tried again every minute" if reason.code is None else "tried again when its code has changed"
                typer.echo(sentence(f"study {record.name} is set aside on {reason.host}: {reason.text}"))
                typer.echo(f"  it is {again}, or after: gradstudy launch {record.name} --detach")
    else:
        typer.echo(f"{database.display_url} holds no studies yet")
