"""``gradstudy delete NAME``: a study and everything of it."""

from typing import Annotated

import typer

from gradstudy.scripts.options import Storage, StudyName
from gradstudy.storage.default_storage import DEFAULT_STORAGE


def delete(
    name: StudyName,
    storage: Storage = DEFAULT_STORAGE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a study and everything of it."""
    from gradstudy.storage.database import Database
    from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
    from gradstudy.storage.studies import delete_study, find_study, list_extensions
    from gradstudy.study.answer.confirmation_study import find_confirmation

    with Database.open(storage) as database:
        record = find_study(database, name)
        counts = count_outcomes(database.engine, record)
        begun = record.budget - counts[REMAINING]
        if not yes:
            typer.confirm(f"Delete study {name} with {begun} trials from {database.display_url}?", abort=True)
        if (confirmation := find_confirmation(database, record)) is not None:
            delete_study(database, confirmation.record.name)
        for extension in list_extensions(database, record):
            delete_study(database, extension.name)
        delete_study(database, name)
    typer.echo(f"deleted study {name} with {begun} trials")
    if counts[RUNNING]:
        typer.echo(f"{counts[RUNNING]} of them were running: their workers notice and stop")
