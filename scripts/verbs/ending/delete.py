"""``gradstudy delete NAME``: a study and everything of it."""

from typing import TYPE_CHECKING, Annotated

import typer

from gradstudy.scripts.options import Storage, StudyName
from gradstudy.scripts.server_options import takes_server
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from gradstudy.scripts.client import Client


@takes_server
def delete(
    name: StudyName,
    storage: Storage = DEFAULT_STORAGE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    *,
    client: "Client | None",
) -> None:
    """Delete a study and everything of it."""
    if client is not None:
        _delete_there(client, name, yes=yes)
        return
    from gradstudy.scripts.printable import printable
    from gradstudy.storage.archive.records import archive_folder
    from gradstudy.storage.database import Database
    from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
    from gradstudy.storage.studies import find_study
    from gradstudy.study.horizon.whole_study import delete_whole

    with Database.open(storage) as database:
        record = find_study(database, name)
        counts = count_outcomes(database.engine, record)
        files = archive_folder(database, record)
        begun = record.budget - counts[REMAINING]
        if not yes:
            typer.confirm(f"Delete study {name} with {begun} trials from {database.display_url}?", abort=True)
        delete_whole(database, record)
    _say_deleted(name, begun, counts[RUNNING])
    if files is not None:
        typer.echo(f"the files of its archived steps stay in {printable(str(files))}")


def _delete_there(client: "Client", name: str, *, yes: bool) -> None:
    from gradstudy.storage.results import REMAINING, RUNNING

    counts = client.study(name).trials
    begun = sum(counts.values()) - counts[REMAINING]
    if not yes:
        typer.confirm(f"Delete study {name} with {begun} trials from {client.url}?", abort=True)
    client.delete(name)
    _say_deleted(name, begun, counts[RUNNING])


def _say_deleted(name: str, begun: int, running: int) -> None:
    typer.echo(f"deleted study {name} with {begun} trials")
    if running:
        typer.echo(f"{running} of them were running: their workers notice and stop")
