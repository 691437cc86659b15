"""Runs that their own programs record, while they run: one row each, for which a study's budget grows."""

import numpy as np
from sqlalchemy import Engine, delete, func, insert, literal_column, select, update

from gradstudy.storage.claims import Claim, belongs_to, still_owned
from gradstudy.storage.ended import State, add_changes
from gradstudy.storage.errors import ClaimLostError, StudyDeletedError
from gradstudy.storage.lost_workers import WORKER_LOST
from gradstudy.storage.optuna_internals import TRIALS as STATES
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.recorder import Steps, insert_steps
from gradstudy.storage.results import Outcome
from gradstudy.storage.schema import Step, Study, Trial
from gradstudy.storage.studies import StudyRecord, is_study
from gradstudy.storage.transactions import writing


def begin_run(engine: Engine, study: StudyRecord, worker_id: int, setting: SettingRow, seed: int) -> Claim:
    """Put in a run that its own program records, and claim it; it is to be attached to a trial of Optuna's.

    Any number of programs may begin one at the same moment.

    Raises:
        StudyDeletedError: the study is not there any more.
    """
    with writing(engine) as connection:
        # Held until the run is there, so that two that begin together get two places.
        if connection.scalar(select(Study.budget).where(is_study(study)).with_for_update()) is None:
            raise StudyDeletedError(study.name)
        last = connection.scalar(select(func.max(Trial.ordinal)).where(Trial.study_id == study.study_id))
        ordinal = 0 if last is None else last + 1
        row = {"study_id": study.study_id, "ordinal": ordinal, "worker_id": worker_id, "seed": seed}
        made = connection.execute(
            insert(Trial).values(**row, attempt=1, steps=0, **setting.columns())
        ).inserted_primary_key
        assert made is not None
        connection.execute(update(Study).where(is_study(study)).values(budget=Study.budget + 1))
    return Claim(**row, id=made[0], identity=study.identity, attempt=1, trial_id=None, setting=setting)


def keep_steps(engine: Engine, claim: Claim, steps: Steps) -> None:
    """Write steps of a run that is recorded; what was written from the first of them on is replaced.

    A run that was taken for lost, as its machine slept, goes on.

    Raises:
        ClaimLostError: the run is not there any more.
    """
    goes_on = False
    with writing(engine) as connection:
        known = update(Trial).where(still_owned(claim)).values(steps=steps.first + np.size(steps.loss))
        if connection.execute(known).rowcount != 1:
            lost = update(Trial).where(belongs_to(claim), Trial.reason == WORKER_LOST)
            if connection.execute(lost.values(outcome=None, reason=None, finished_at=None)).rowcount != 1:
                raise ClaimLostError(f"run {claim.ordinal} is not in the database any more")
            # The word itself, which PostgreSQL takes for a value of its type.
            runs = update(STATES).where(STATES.c.trial_id == claim.trial_id).values(state=literal_column("'RUNNING'"))
            connection.execute(runs)
            connection.execute(known)
            goes_on = True
        connection.execute(delete(Step).where(Step.trial_id == claim.trial_id, Step.step >= steps.first))
        insert_steps(connection, claim, steps)
        if goes_on:
            excluded = connection.scalar(select(Trial.excluded).where(Trial.id == claim.id))
            changed = State(Outcome.FAILED, excluded), State(None, excluded)
            add_changes(connection, claim.study_id, claim.worker_id, [changed])
