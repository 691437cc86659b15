"""Studies that the workers of a machine, which serve every study, cannot work on for now; with the reason."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gradstudy.storage.clock import seconds_ago, utc_now
from gradstudy.storage.schema import SetAside
from gradstudy.storage.studies import StudyRecord, number_of
from gradstudy.storage.transactions import reading, writing

SECONDS_BETWEEN_TRIES = 60
"""How long a study is left alone before a worker of the machine tries it again."""


@dataclass(frozen=True)
class Reason:
    """Why a study was set aside.

    Attributes:
        host: whose workers cannot work on it.
        text: in one line.
        code: digest of the code whose trials failed; None where none was trained, so that trying again costs nothing.
    """

    host: str
    text: str
    code: str | None


def set_aside(engine: Engine, study: StudyRecord, reason: Reason) -> None:
    """Let the workers of a machine leave a study alone; a reason of before is replaced. Nothing if it was deleted."""
    values = {"reason": reason.text, "code": reason.code, "since": utc_now()}
    try:
        with writing(engine) as connection:
            if connection.execute(update(SetAside).where(*_row(study, reason.host)).values(values)).rowcount != 1:
                connection.execute(insert(SetAside).values(study_id=study.study_id, host=reason.host, **values))
    except IntegrityError:  # another worker has just written it, or the study is gone
        return


def take_back(engine: Engine, study: StudyRecord, host: str | None = None) -> None:
    """Let workers work on a study again: those of a machine, or all."""
    with writing(engine) as connection:
        connection.execute(delete(SetAside).where(*_row(study, host)))


def reasons(engine: Engine, host: str | None = None) -> dict[int, list[Reason]]:
    """Why studies are set aside, by ``study_id``: for a machine, or for all."""
    with reading(engine) as connection:
        return read_reasons(connection, host)


def read_reasons(connection: Connection, host: str | None = None) -> dict[int, list[Reason]]:
    """See ``reasons``."""
    query = select(SetAside.study_id, SetAside.host, SetAside.reason, SetAside.code).order_by(SetAside.host)
    rows = connection.execute(query if host is None else query.where(SetAside.host == host)).all()
    found: dict[int, list[Reason]] = {}
    for study_id, place, text, code in rows:
        found.setdefault(study_id, []).append(Reason(place, text, code))
    return found


def may_try_again(engine: Engine, study: StudyRecord, host: str) -> bool:
    """Whether it is time to try a study again that was set aside, and the caller is the one to do so."""
    due = (*_row(study, host), SetAside.since <= seconds_ago(SECONDS_BETWEEN_TRIES))
    with reading(engine) as connection:
        if connection.scalar(select(SetAside.study_id).where(*due)) is None:
            return False  # nearly always: idle workers that ask need not keep each other from writing
    with writing(engine) as connection:
        tried = connection.execute(update(SetAside).where(*due).values(since=utc_now()))
    return tried.rowcount == 1


def _row(study: StudyRecord, host: str | None) -> tuple[ColumnElement[bool], ...]:
    of_study = SetAside.study_id == number_of(study.identity)
    return (of_study,) if host is None else (of_study, SetAside.host == host)
