"""How far studies are, as a table in the terminal."""

from typing import TYPE_CHECKING

import typer

from gradstudy.scripts.printable import sentence
from gradstudy.storage.results import REMAINING, Outcome
from gradstudy.study.report.plain_console import plain_console, plain_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradstudy.scripts.web.api.messages import Study

RARE = (Outcome.PRUNED, Outcome.FAILED)


def print_status(studies: "Sequence[Study]", command: str = "gradstudy") -> None:
    """Print one row for each study, the workers, and why studies are set aside.

    Args:
        studies: one at least.
        command: that reaches them.
    """
    table = plain_table()
    table.add_column("study", no_wrap=True)
    seen = dict.fromkeys(
        heading for study in studies for heading, count in study.trials.items() if count or heading not in RARE
    )
    headings = [*(heading for heading in seen if heading != REMAINING), REMAINING]
    for heading in ("trials", *headings):
        table.add_column(heading, justify="right")
    table.add_column("phase")
    for study in studies:
        counts = [str(study.trials.get(heading, 0)) for heading in headings]
        table.add_row(study.name, str(study.budget), *counts, study.phase or "")
    plain_console().print(table)
    places = ", ".join(f"{each.count} on {each.host} ({each.device})" for each in studies[0].workers)
    typer.echo(f"workers: {places or 'none'}")
    for study in studies:
        for reason in study.set_aside:
            again = "tried again when its code has changed" if reason.waits_for_code else "tried again every minute"
            typer.echo(sentence(f"study {study.name} is set aside on {reason.host}: {reason.reason}"))
            typer.echo(f"  it is {again}, or after: {command} launch {study.name} --detach")
