"""Working on every study that is open; one that cannot be worked on is set aside, and the others go on."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

import typer

from gradstudy.scripts.printable import sentence
from gradstudy.storage.errors import StudyDeletedError

if TYPE_CHECKING:
    from gradstudy.storage.database import Database
    from gradstudy.storage.set_aside import Reason
    from gradstudy.storage.studies import StudyRecord
    from gradstudy.study.worker.job import Job

SECONDS_BETWEEN_STUDIES = 2.0
"""How often a worker without work looks for a study that is open."""


def work_on_every_study(database: "Database", work_on: Callable[["Job"], None], stop: threading.Event) -> None:
    """Work on one open study after the other until ``stop`` is set.

    A study that cannot be worked on is set aside on this machine, with its reason. What cannot be loaded is tried
    again every minute; a study whose trials failed, once its code is another one or `gradstudy launch NAME` was run.

    Args:
        database: that holds them.
        work_on: works on one until it has no trial left to begin.
        stop: ends the work in order.
    """
    host = socket.gethostname()
    while not stop.is_set():
        found = _next_study(database, host)
        if found is None:
            stop.wait(SECONDS_BETWEEN_STUDIES)
        else:
            _try(database, *found, host, work_on)


def _next_study(database: "Database", host: str) -> "tuple[StudyRecord, Reason | None] | None":
    """The oldest study that has a trial to begin, with the reason for which it was set aside before."""
    from gradstudy.storage.progress import REMAINING, count_outcomes
    from gradstudy.storage.set_aside import may_try_again, reasons
    from gradstudy.storage.studies import list_studies

    known = reasons(database.engine, host)
    for record in list_studies(database):
        before = next(iter(known.get(record.study_id, [])), None)
        with suppress(StudyDeletedError):
            is_open = count_outcomes(database.engine, record)[REMAINING] > 0
            if is_open and (before is None or may_try_again(database.engine, record, host)):
                return record, before
    return None


def _try(
    database: "Database", record: "StudyRecord", before: "Reason | None", host: str, work_on: Callable[["Job"], None]
) -> None:
    from gradstudy.models.user_module.importing import forget_users_modules
    from gradstudy.storage.set_aside import Reason, set_aside, take_back
    from gradstudy.study.errors import TrialsFailError
    from gradstudy.study.patience import UNANSWERED
    from gradstudy.study.worker.job import Job

    code = None
    try:
        if before is not None:
            forget_users_modules()
        job = Job.of(database, record)
        if before is not None:
            if before.code == code_of(job):
                return
            take_back(database.engine, record, host)
            typer.echo(f"study {record.name} is tried again")
        try:
            work_on(job)
        except TrialsFailError:
            code = code_of(job)
            raise
    except StudyDeletedError as error:
        typer.echo(sentence(str(error)))
    except UNANSWERED:
        raise
    except (Exception, SystemExit) as error:  # of whatever kind: the other studies go on
        text = sentence(in_one_line(error))
        set_aside(database.engine, record, Reason(host, text, code))
        if before is None or before.text != text:
            typer.echo(f"study {record.name} is set aside: {text}")


def code_of(job: "Job") -> str:
    """What a study's trials fail by, if they fail: the digest of the user's code, else gradstudy's version."""
    digest: str = getattr(job.data, "code", version("gradstudy"))
    return digest


def in_one_line(error: BaseException) -> str:
    """An error without the middle of its traceback, and with its kind where it is none that is expected."""
    from gradstudy.models.tasks.errors import TaskError
    from gradstudy.storage.errors import StorageError
    from gradstudy.study.errors import StudyError

    lines = [line.strip() for line in str(error).strip().splitlines()] or [""]
    text = lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}"
    return text if isinstance(error, (TaskError, StorageError, StudyError)) else f"{type(error).__name__}: {text}"
