"""Working on every study that is open; one that cannot be worked on is set aside, and the others go on."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

import typer

from gradstudy.scripts.printable import sentence
from gradstudy.storage.errors import StorageError, StudyDeletedError, UnavailableError
from gradstudy.study.spec.rungs import Rung

if TYPE_CHECKING:
    from gradstudy.storage.database import Database
    from gradstudy.storage.set_aside import Reason
    from gradstudy.storage.studies import StudyRecord
    from gradstudy.study.worker.job import Job

Way = tuple[str, int, tuple[Rung, ...]]
"""Of a study to its horizon: which study, how many trials, which rungs."""
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
    host, over = socket.gethostname(), set[Way]()
    while not stop.is_set():
        found = _next_study(database, host, over)
        if found is None:
            stop.wait(SECONDS_BETWEEN_STUDIES)
        else:
            _try(database, *found, host, work_on)


def _next_study(database: "Database", host: str, over: "set[Way]") -> "tuple[StudyRecord, Reason | None] | None":
    """The oldest study that has a trial to begin, with the reason for which it was set aside before.

    Where all trials of a study have ended, the next rung to its horizon is begun. Recorded runs are left to their
    programs; one whose program was lost has failed.

    Args:
        database: that holds them.
        host: this machine.
        over: ways on which no rung is left to begin; those that are found to be so are added.
    """
    from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
    from gradstudy.storage.set_aside import may_try_again, reasons
    from gradstudy.storage.studies import list_studies
    from gradstudy.study.worker.recovery import recover

    known = reasons(database.engine, host)
    for record in list_studies(database):
        before = next(iter(known.get(record.study_id, [])), None)
        with suppress(StudyDeletedError):
            counts = count_outcomes(database.engine, record)
            if record.is_external:
                if counts[RUNNING]:
                    recover(database, record)
                continue
            is_ended = counts[REMAINING] + counts[RUNNING] == 0
            if not (counts[REMAINING] or is_ended):
                continue
            if before is not None and not may_try_again(database.engine, record, host):
                continue
            if not is_ended:
                return record, before
            rung = _begun_rung(database, record, before, host, over)
            if rung is not None and rung.study_id not in known and count_outcomes(database.engine, rung)[REMAINING]:
                return rung, None
    return None


def _begun_rung(
    database: "Database", record: "StudyRecord", before: "Reason | None", host: str, over: "set[Way]"
) -> "StudyRecord | None":
    """The study of the next rung of one whose own trials have ended; None where there is none, or it cannot be made."""
    from gradstudy.storage.set_aside import take_back
    from gradstudy.study.horizon.course import next_rung, rungs_of

    way = (record.identity, record.budget, tuple(rungs_of(database, record)))
    if way in over:
        return None
    try:
        extension = next_rung(database, record)
    except StorageError as error:
        if isinstance(error, (StudyDeletedError, UnavailableError)):
            raise
        _set_aside(database, record, before, host, sentence(in_one_line(error)), None)
        return None
    if before is not None:
        take_back(database.engine, record, host)
    if extension is None:
        over.add(way)
        return None
    return extension.record


def _try(
    database: "Database", record: "StudyRecord", before: "Reason | None", host: str, work_on: Callable[["Job"], None]
) -> None:
    from gradstudy.models.user_module.importing import forget_users_modules
    from gradstudy.storage.set_aside import take_back
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
        _set_aside(database, record, before, host, sentence(in_one_line(error)), code)


def _set_aside(
    database: "Database", record: "StudyRecord", before: "Reason | None", host: str, text: str, code: str | None
) -> None:
    """Set a study aside, and say so unless that was said before."""
    from gradstudy.storage.set_aside import Reason, set_aside

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
