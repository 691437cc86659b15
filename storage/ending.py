"""Ending a study for good: what has begun is run to its end, and nothing else begins."""

from sqlalchemy import delete, func, select, update

from gradstudy.storage.database import Database
from gradstudy.storage.errors import StudyDeletedError
from gradstudy.storage.schema import Study, Trial
from gradstudy.storage.studies import StudyRecord, is_study
from gradstudy.storage.transactions import writing


def begin_no_more(db: Database, study: StudyRecord, replicates: int) -> int:
    """Let no further trial of a study begin; return its budget, which is what has begun.

    Trials that wait with their setting are forgotten, other than by ``end_study``, which lets them run. A trial that
    was claimed and is about to get its setting still begins, with the replicates that come with it.

    Args:
        db: where the study is.
        study: which study.
        replicates: how many trials each setting has.

    Raises:
        StudyDeletedError: the study is not there any more.
    """
    with writing(db.engine) as connection:
        # A worker that is about to claim holds this row until its claim is there, and so it is counted.
        if connection.scalar(select(Study.budget).where(is_study(study)).with_for_update()) is None:
            raise StudyDeletedError(study.name)
        of_study = Trial.study_id == study.study_id
        not_begun = (of_study, Trial.trial_id.is_(None), Trial.outcome.is_(None))
        connection.execute(delete(Trial).where(*not_begun, Trial.worker_id.is_(None)))
        count = select(func.count()).select_from(Trial)
        budget = connection.scalar(count.where(of_study)) or 0
        firsts = connection.scalars(select(Trial.ordinal).where(*not_begun)).all()
        for first in (ordinal for ordinal in firsts if ordinal % replicates == 0):
            others = Trial.ordinal.between(first + 1, first + replicates - 1)
            budget += replicates - 1 - (connection.scalar(count.where(of_study, others)) or 0)
        connection.execute(update(Study).where(is_study(study)).values(budget=budget))
    return budget
