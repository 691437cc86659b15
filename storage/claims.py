"""Claims: who runs which trial. However many workers claim, a study never has more trials than its budget.

A claim is proved by the study's identity, worker and attempt together: a worker that lost a trial, or whose study was
deleted, cannot write to it any more, even where another study has the same numbers.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, case, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from gradstudy.storage.clock import utc_now
from gradstudy.storage.errors import ClaimLostError, StudyDeletedError
from gradstudy.storage.queue import SettingRow, enqueue_replicates
from gradstudy.storage.schema import Step, Study, Trial
from gradstudy.storage.studies import StudyRecord, is_study, number_of
from gradstudy.storage.transactions import reading, writing
from gradstudy.storage.workers import count_alive

NO_LIMIT = 2**31 - 1
NO_REPLICATES: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A trial that a worker runs.

    Attributes:
        id: of the row in ``gradstudy_trial``.
        identity: of the study.
        ordinal: of the trial within the budget, from 0.
        attempt: 1 at first, one more each time that a trial that had begun is claimed again.
        trial_id: Optuna's; None until the worker has asked Optuna and attached the trial.
        setting: None where the sampler is to be asked for it; an enqueued trial has one before it is attached.
        seed: of the trial; every attempt has the same.
        losses: how many workers were lost with it since it was last checkpointed.
    """

    id: int
    study_id: int
    identity: str
    ordinal: int
    attempt: int
    worker_id: int
    trial_id: int | None
    setting: SettingRow | None
    seed: int
    losses: int = 0


def claim_trial(
    engine: Engine,
    study: StudyRecord,
    worker_id: int,
    seed_of: Callable[[int], int],
    *,
    held: int = 0,
    workers: int = 1,
    replicates: int = 1,
    places: int = NO_LIMIT,
) -> Claim | None:
    """Claim a trial that was given back or enqueued, else the next of the budget; None when there is neither.

    The next of the budget is the first replicate of a setting; the others are enqueued when it gets its setting.

    A worker never holds more than its share of the open trials: at the end of a study, those that are left are
    spread over all workers.

    Args:
        engine: of the database.
        study: which study.
        worker_id: who claims.
        seed_of: gives the seed of an ordinal; it fits in 63 bits.
        held: how many open trials the worker has.
        workers: how many workers there are at least; those that are alive may be more.
        replicates: how many trials each setting has.
        places: of the budget that the sampler has; what lies behind them was enqueued.

    Raises:
        StudyDeletedError: the study is not there any more.
    """
    tried, study_id = -1, study.study_id
    while True:
        with writing(engine) as connection:
            budget = _budget(connection, study)
            ordinal, behind = _first_unclaimed(connection, study_id, replicates, places)
            left = min(places, budget - behind) - ordinal
            if held >= _share(connection, study_id, left, workers):
                return None
            given_back = connection.scalar(_given_back(study_id))
            if given_back is not None:
                if _take(connection, given_back, worker_id):
                    return _read(connection, given_back, study)
                continue  # another worker was faster
            if left <= 0:
                return None
            try:
                return _insert(connection, study, ordinal, worker_id, seed_of(ordinal))
            except IntegrityError:
                if ordinal == tried:  # not the race for an ordinal, which moves on
                    raise
                tried = ordinal
                connection.rollback()


def give_back_unknown(engine: Engine, study: StudyRecord, worker_id: int, known: Collection[int]) -> None:
    """Give back the open claims of a worker of a study that it does not know of.

    When a connection breaks in the moment of a commit, the database may hold a claim that nobody was told of.

    Args:
        engine: of the database.
        study: which study.
        worker_id: whose claims.
        known: the ``id`` of those that it knows.
    """
    mine = (Trial.study_id == number_of(study.identity), Trial.worker_id == worker_id)
    unknown = (*mine, Trial.outcome.is_(None), Trial.id.not_in(known))
    with writing(engine) as connection:
        connection.execute(update(Trial).where(*unknown).values(worker_id=None))


def attach_trial(
    engine: Engine,
    claim: Claim,
    trial_id: int,
    setting: SettingRow,
    replicates: Mapping[int, int] = NO_REPLICATES,
) -> Claim:
    """Store which Optuna trial it is and with which setting; the trial begins now.

    Args:
        engine: of the database.
        claim: of the trial.
        trial_id: Optuna's.
        setting: of the trial.
        replicates: ordinal and seed of each further trial that gets the same setting; they are enqueued with it, in
            one transaction, so that however workers race or die there is one setting for all of them.

    Raises:
        ClaimLostError: the trial was given to another worker.
    """
    values = {"trial_id": trial_id, "started_at": utc_now(), **setting.columns()}
    with writing(engine) as connection:
        if connection.execute(update(Trial).where(still_owned(claim)).values(values)).rowcount != 1:
            raise ClaimLostError(
                f"trial {claim.ordinal} of study {claim.study_id} does not belong to worker {claim.worker_id} any more"
            )
        enqueue_replicates(connection, claim.study_id, setting, replicates)
    return replace(claim, trial_id=trial_id, setting=setting)


def give_back(engine: Engine, claim: Claim) -> bool:
    """Let another worker begin the trial anew; False when it did not belong to this one any more."""
    with writing(engine) as connection:
        given = connection.execute(update(Trial).where(still_owned(claim)).values(worker_id=None, steps=0)).rowcount
        if given and claim.trial_id is not None:
            connection.execute(delete(Step).where(Step.trial_id == claim.trial_id))
    return given == 1


def is_owned(engine: Engine, claim: Claim) -> bool:
    """Whether a trial is open and still belongs to the claim."""
    with reading(engine) as connection:
        return connection.scalar(select(Trial.id).where(still_owned(claim))) is not None


def still_owned(claim: Claim) -> ColumnElement[bool]:
    """The condition that a trial is open and belongs to the claim."""
    return and_(_belongs_to(claim), Trial.outcome.is_(None))


def finished_by(claim: Claim) -> ColumnElement[bool]:
    """The condition that a trial has ended in the hands of the claim."""
    return and_(_belongs_to(claim), Trial.outcome.is_not(None))


def _belongs_to(claim: Claim) -> ColumnElement[bool]:
    return and_(
        Trial.id == claim.id,
        Trial.study_id == number_of(claim.identity),
        Trial.worker_id == claim.worker_id,
        Trial.attempt == claim.attempt,
    )


def _share(connection: Connection, study_id: int, unclaimed: int, workers: int) -> int:
    """How many open trials one worker may hold."""
    begun = connection.scalar(
        select(func.count()).select_from(Trial).where(Trial.study_id == study_id, Trial.outcome.is_(None))
    )
    return math.ceil(((begun or 0) + unclaimed) / max(workers, count_alive(connection)))


def end_study(engine: Engine, study: StudyRecord, replicates: int = 1, places: int = NO_LIMIT) -> int:
    """Let no further setting of a study begin: its budget is what has been claimed or enqueued; return it.

    ``replicates`` is how many trials each setting has, ``places`` what of the budget the sampler has.

    Trials that run or were given back are still run to their end.

    Raises:
        StudyDeletedError: the study is not there any more.
    """
    with writing(engine) as connection:
        # A worker that is about to claim holds this row until its claim is there, and so it is counted.
        _budget(connection, study, alone=True)
        budget = sum(_first_unclaimed(connection, study.study_id, replicates, places))
        connection.execute(update(Study).where(is_study(study)).values(budget=budget))
    return budget


def _budget(connection: Connection, study: StudyRecord, *, alone: bool = False) -> int:
    """The budget, which nobody changes before the transaction ends; when ``alone``, nobody else holds it either."""
    budget = connection.scalar(select(Study.budget).where(is_study(study)).with_for_update(read=not alone))
    if budget is None:
        raise StudyDeletedError(study.name)
    return budget


def _first_unclaimed(connection: Connection, study_id: int, replicates: int, places: int) -> tuple[int, int]:
    """The first ordinal of a setting that no worker has had yet, and how many trials lie behind ``places``."""
    of_study = Trial.study_id == study_id
    last = select(func.max(Trial.ordinal)).where(of_study, Trial.ordinal < places).scalar_subquery()
    behind = select(func.count()).select_from(Trial).where(of_study, Trial.ordinal >= places).scalar_subquery()
    row = connection.execute(select(last, behind)).one()
    return 0 if row[0] is None else (row[0] // replicates + 1) * replicates, row[1]


def _given_back(study_id: int) -> Any:
    return (
        select(Trial.id)
        .where(Trial.study_id == study_id, Trial.worker_id.is_(None), Trial.outcome.is_(None))
        .order_by(Trial.ordinal)
        .limit(1)
    )


def _take(connection: Connection, trial: int, worker_id: int) -> bool:
    had_begun = Trial.started_at.is_not(None)
    taken = connection.execute(
        update(Trial)
        .where(Trial.id == trial, Trial.worker_id.is_(None), Trial.outcome.is_(None))
        .values(
            worker_id=worker_id,
            attempt=case((had_begun, Trial.attempt + 1), else_=Trial.attempt),
            started_at=case((had_begun, utc_now()), else_=None),
        )
    )
    return taken.rowcount == 1


def _insert(connection: Connection, study: StudyRecord, ordinal: int, worker_id: int, seed: int) -> Claim:
    made = connection.execute(
        insert(Trial).values(
            study_id=study.study_id, ordinal=ordinal, worker_id=worker_id, attempt=1, seed=seed, steps=0
        )
    ).inserted_primary_key
    assert made is not None
    return _read(connection, made[0], study)


def _read(connection: Connection, trial: int, study: StudyRecord) -> Claim:
    row = connection.execute(select(*Trial.__table__.c).where(Trial.id == trial)).mappings().one()
    kept = ("id", "study_id", "ordinal", "attempt", "worker_id", "trial_id", "seed", "losses")
    setting = None if row["cell"] is None else SettingRow.of({**row})
    return Claim(**{name: row[name] for name in kept}, identity=study.identity, setting=setting)
