"""How far a study is."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select

from gradstudy.storage.errors import StudyDeletedError
from gradstudy.storage.results import EXCLUDED as EXCLUDED
from gradstudy.storage.results import REMAINING as REMAINING
from gradstudy.storage.results import RUNNING as RUNNING
from gradstudy.storage.results import Outcome
from gradstudy.storage.schema import Study, Trial
from gradstudy.storage.studies import StudyRecord, is_study
from gradstudy.storage.transactions import reading


def count_outcomes(engine: Engine, study: StudyRecord) -> dict[str, int]:
    """How many trials of a study there are of each outcome; the numbers add up to its budget.

    ``running`` counts those that a worker holds, ``remaining`` those that none has begun or that were given
    back. Where trials are excluded they are counted as that, whatever their outcome.

    Raises:
        StudyDeletedError: the study is not there any more.
    """
    with reading(engine) as connection:
        budget = connection.scalar(select(Study.budget).where(is_study(study)))
        counted = _outcomes(connection, [study.study_id])
    if budget is None:
        raise StudyDeletedError(study.name)
    return _with_remaining(budget, counted.get(study.study_id, {}))


def has_ended(engine: Engine, study: StudyRecord) -> bool:
    """Whether all trials of a study have ended.

    Raises:
        StudyDeletedError: the study is not there any more.
    """
    counts = count_outcomes(engine, study)
    return counts[REMAINING] + counts[RUNNING] == 0


def count_outcomes_of(connection: Connection, studies: Sequence[StudyRecord]) -> dict[int, dict[str, int]]:
    """See ``count_outcomes``, of several studies with the budgets that they have there, by ``study_id``."""
    counted = _outcomes(connection, [study.study_id for study in studies])
    return {study.study_id: _with_remaining(study.budget, counted.get(study.study_id, {})) for study in studies}


def count_ended(connection: Connection) -> dict[int, int]:
    """How many trials have ended, excluded ones among them, by ``study_id``; of studies without any there is nothing.

    An index answers it: a page asks for all studies at once.
    """
    query = (
        select(Trial.study_id, func.count().label("trials")).where(Trial.outcome.is_not(None)).group_by(Trial.study_id)
    )
    return {row.study_id: row.trials for row in connection.execute(query)}


def count_excluded(connection: Connection) -> dict[int, int]:
    """How many trials are excluded, by ``study_id``; of studies without any there is nothing."""
    query = (
        select(Trial.study_id, func.count().label("trials")).where(Trial.excluded.is_not(None)).group_by(Trial.study_id)
    )
    return {row.study_id: row.trials for row in connection.execute(query)}


def _outcomes(connection: Connection, studies: Sequence[int]) -> dict[int, dict[str, int]]:
    """How many trials there are of each outcome, running or excluded, by ``study_id``."""
    held, counts_not = Trial.worker_id.is_not(None), Trial.excluded.is_not(None)
    of_studies = select(Trial.study_id, Trial.outcome, held, counts_not, func.count())
    query = of_studies.where(Trial.study_id.in_(studies)).group_by(Trial.study_id, Trial.outcome, held, counts_not)
    counted: dict[int, dict[str, int]] = {}
    for study_id, outcome, is_held, is_excluded, count in connection.execute(query):
        counts = counted.setdefault(study_id, {})
        if is_excluded or outcome is not None or is_held:
            name = EXCLUDED if is_excluded else str(outcome or RUNNING)
            counts[name] = counts.get(name, 0) + count
    return counted


def _with_remaining(budget: int, counted: dict[str, int]) -> dict[str, int]:
    counts = dict.fromkeys([*map(str, Outcome), RUNNING], 0) | counted
    return counts | {REMAINING: budget - sum(counts.values())}


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
