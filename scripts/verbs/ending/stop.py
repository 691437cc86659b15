"""``gradstudy stop NAME``: no further trial of a study begins."""

from typing import TYPE_CHECKING

import typer

from gradstudy.scripts.options import Storage, StudyName
from gradstudy.scripts.server_options import takes_server
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from gradstudy.scripts.client import Client


@takes_server
def stop(name: StudyName, storage: Storage = DEFAULT_STORAGE, *, client: "Client | None") -> None:
    """End a study for good: no further trial begins, and those that have begun are trained to their end."""
    from gradstudy.storage.results import RUNNING

    if client is not None:
        counts = client.stop(name).trials
    else:
        from gradstudy.storage.database import Database
        from gradstudy.storage.progress import count_outcomes
        from gradstudy.storage.studies import find_study
        from gradstudy.study.horizon.whole_study import stop_whole

        with Database.open(storage) as database:
            record = find_study(database, name)
            stop_whole(database, record)
            counts = count_outcomes(database.engine, record)
    running = f", {counts[RUNNING]} of which still run to their end" if counts[RUNNING] else ""
    typer.echo(f"study {name} ends with the {sum(counts.values())} trials that have begun{running}")
