"""``gradstudy status [NAME]``: how far the studies are."""

from typing import TYPE_CHECKING, Annotated

import typer

from gradstudy.scripts.options import Storage
from gradstudy.scripts.printable import sentence
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradstudy.study.horizon.course import Stretch


def status(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of the study.", show_default="every study")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Show progress, outcomes so far and workers."""
    from gradstudy.storage.database import Database
    from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
    from gradstudy.storage.results import Outcome
    from gradstudy.storage.set_aside import reasons
    from gradstudy.storage.studies import find_study, list_studies
    from gradstudy.storage.workers import living_workers
    from gradstudy.study.horizon.course import is_over, stretches
    from gradstudy.study.report.plain_console import plain_console, plain_table
    from gradstudy.study.search.phases import phase_name
    from gradstudy.study.spec.study_spec import stored_spec

    table = plain_table()
    with Database.open(storage) as database:
        records = [find_study(database, name)] if name else list_studies(database)
        counts = [count_outcomes(database.engine, record) for record in records]
        workers = living_workers(database.engine)
        set_aside = reasons(database.engine)
        ways = [stretches(database, record) for record in records]
        longer = ["" if is_over(database, way) else _longer_runs(way) for way in ways]
    table.add_column("study", no_wrap=True)
    rare = (Outcome.PRUNED, Outcome.FAILED)
    seen = dict.fromkeys(heading for row in counts for heading in row if row[heading] or heading not in rare)
    headings = [*(heading for heading in seen if heading != REMAINING), REMAINING]
    for heading in ("trials", *headings):
        table.add_column(heading, justify="right")
    table.add_column("phase")
    for record, row, rung in zip(records, counts, longer, strict=True):
        begun = record.budget - row[REMAINING]
        is_open = row[REMAINING] + row[RUNNING] > 0
        phase = phase_name(stored_spec(record), begun) if is_open else rung
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


def _longer_runs(way: "Sequence[Stretch]") -> str:
    """The longest runs that have begun on the way of a study to its horizon; nothing of one whose runs are alike."""
    begun = [stretch.steps for stretch in way if stretch.record is not None]
    return f"{begun[-1]:,} of {way[-1].steps:,} steps" if len(way) > 1 else ""
