"""How far a study is."""

from datetime import datetime

from sqlalchemy import Engine, func, select

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
    held = Trial.worker_id.is_not(None)
    counts_not = Trial.excluded.is_not(None)
    of_study = select(Trial.outcome, held, counts_not, func.count()).where(Trial.study_id == study.study_id)
    query = of_study.group_by(Trial.outcome, held, counts_not)
    with reading(engine) as connection:
        budget = connection.scalar(select(Study.budget).where(is_study(study)))
        rows = connection.execute(query).all()
    if budget is None:
        raise StudyDeletedError(study.name)
    counts = dict.fromkeys([*map(str, Outcome), RUNNING], 0)
    for outcome, is_held, is_excluded, count in rows:
        if is_excluded:
            counts[EXCLUDED] = counts.get(EXCLUDED, 0) + count
        elif outcome is not None or is_held:
            counts[str(outcome or RUNNING)] += count
    counts[REMAINING] = budget - sum(counts.values())
    return counts


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
