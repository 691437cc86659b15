"""A process that archives the steps of a study, or puts them back, and may be killed at any moment of it."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
from unittest import mock

from gradstudy.storage.archive import archiving
from gradstudy.storage.archive.archiving import archive_steps
from gradstudy.storage.archive.restoring import restore_steps
from gradstudy.storage.database import Database
from gradstudy.storage.studies import find_study

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["archiver", "pyarrow.parquet"])


def move(url: str, folder: Path | None, rows: int, begun: Connection | None = None) -> None:
    """Archive the steps of the study ``s`` in a folder, so many rows in a part, or put them back where it is None."""
    with mock.patch.object(archiving, "ROWS", rows), Database.open(url) as database:
        study = find_study(database, "s")
        if begun is not None:
            begun.send(None)
        for _ in restore_steps(database, study) if folder is None else archive_steps(database, study, folder):
            pass


def move_until_killed(url: str, folder: Path | None, rows: int, seconds: float | None) -> int | None:
    """Do so in a process that is killed after it has worked so long.

    Returns:
        Its exit code: 0 where it was done before that.
    """
    told, begun = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=move, args=(url, folder, rows, begun))
    process.start()
    told.recv()
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode
