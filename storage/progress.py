"""How far a study is."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select

from gradstudy.storage.ended import NOTHING, read_ended
from gradstudy.storage.errors import StudyDeletedError
from gradstudy.storage.results import EXCLUDED as EXCLUDED
from gradstudy.storage.results import REMAINING as REMAINING
from gradstudy.storage.results import RUNNING as RUNNING
from gradstudy.storage.schema import Study, Trial
from gradstudy.storage.studies import StudyRecord, is_study
from gradstudy.storage.transactions import reading


def count_outcomes(engine: Engine, study: StudyRecord) -> dict[str, int]:
    """How many trials of a study there are of each outcome; the numbers add up to its budget.

    ``running`` counts those that a worker holds, ``remaining`` those that none has begun or that were given
    back. Where trials are excluded they are counted as that, whatever their outcome. It takes as long with a million of
    them as with ten.

    Raises:
        StudyDeletedError: the study is not there any more.
    """
    with reading(engine) as connection:
        budget = connection.scalar(select(Study.budget).where(is_study(study)))
        counted = _counted(connection, {study.study_id: budget or 0})
    if budget is None:
        raise StudyDeletedError(study.name)
    return counted[study.study_id]


def has_ended(engine: Engine, study: StudyRecord) -> bool:
    """Whether all trials of a study have ended.

    Raises:
        StudyDeletedError: the study is not there any more.
    """
    counts = count_outcomes(engine, study)
    return counts[REMAINING] + counts[RUNNING] == 0


def count_outcomes_of(connection: Connection, studies: Sequence[StudyRecord]) -> dict[int, dict[str, int]]:
    """See ``count_outcomes``, of several studies with the budgets that they have there, by ``study_id``."""
    return _counted(connection, {study.study_id: study.budget for study in studies})


def _counted(connection: Connection, budgets: Mapping[int, int]) -> dict[int, dict[str, int]]:
    """The counts of studies by ``study_id``."""
    ended = read_ended(connection, list(budgets))
    is_open = (Trial.outcome.is_(None), Trial.worker_id.is_not(None), Trial.excluded.is_(None))
    held = select(Trial.study_id, func.count().label("trials")).where(Trial.study_id.in_(budgets), *is_open)
    running = {row.study_id: row.trials for row in connection.execute(held.group_by(Trial.study_id))}
    found = {}
    for study_id, budget in budgets.items():
        counts = {**ended.get(study_id, NOTHING).counts, RUNNING: running.get(study_id, 0)}
        if not counts[EXCLUDED]:
            del counts[EXCLUDED]
        found[study_id] = counts | {REMAINING: budget - sum(counts.values())}
    return found


def steps_under_way(engine: Engine, study: StudyRecord) -> int:
    """How many steps the trials of a study had made that have not ended, when their states were last kept."""
    query = select(func.sum(Trial.steps)).where(Trial.study_id == study.study_id, Trial.outcome.is_(None))
    with reading(engine) as connection:
        return int(connection.scalar(query) or 0)


def last_finished(engine: Engine, study_id: int) -> datetime | None:
    """When the last trial of a study ended; None before the first."""
    with reading(engine) as connection:
        return connection.scalar(select(func.max(Trial.finished_at)).where(Trial.study_id == study_id))


def errors_of_last(engine: Engine, study_id: int, trials: int, since: datetime | None) -> list[str | None]:
    """The errors of the trials that ended last, and after ``since``; the last first, None for one without."""
    query = select(Trial.error).where(Trial.study_id == study_id, Trial.outcome.is_not(None))
    if since is not None:
        query = query.where(Trial.finished_at > since)
    with reading(engine) as connection:
        return list(connection.scalars(query.order_by(Trial.finished_at.desc(), Trial.id.desc()).limit(trials)))
