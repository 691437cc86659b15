"""Claims: the proof that a worker runs a trial, and giving it back.

A claim is proved by the study's identity, worker and attempt together: a worker that lost a trial, or whose study was
deleted, cannot write to it any more, even where another study has the same numbers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, Update, and_, bindparam, delete, select, update

from gradstudy.storage.clock import utc_now
from gradstudy.storage.optuna_rows import set_states
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.schema import TRIAL, Step
from gradstudy.storage.studies import StudyRecord, number_of
from gradstudy.storage.transactions import reading, writing


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A trial that a worker runs.

    Attributes:
        id: of the row in ``gradstudy_trial``.
        identity: of the study.
        ordinal: of the trial within the budget, from 0.
        attempt: 1 at first, one more each time that a trial that had begun is claimed again.
        trial_id: Optuna's; None until the trial has begun.
        setting: None where the sampler is to be asked for it; an enqueued trial has one before it begins.
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


def give_back(engine: Engine, claim: Claim) -> bool:
    """Let another worker begin the trial anew; False when it did not belong to this one any more."""
    with writing(engine) as connection:
        given = connection.execute(update(TRIAL).where(still_owned(claim)).values(worker_id=None, steps=0)).rowcount
        if given and claim.trial_id is not None:
            connection.execute(delete(Step).where(Step.trial_id == claim.trial_id))
            set_states(connection, [claim.trial_id], "WAITING")
    return given == 1


def give_back_unknown(engine: Engine, study: StudyRecord, worker_id: int, known: Collection[int]) -> None:
    """Give back the open claims of a worker of a study that it does not know of.

    When a connection breaks in the moment of a commit, the database may hold claims that nobody was told of.

    Args:
        engine: of the database.
        study: which study.
        worker_id: whose claims.
        known: the ``id`` of those that it knows.
    """
    mine = (TRIAL.c.study_id == number_of(study.identity), TRIAL.c.worker_id == worker_id)
    unknown = (*mine, TRIAL.c.outcome.is_(None), TRIAL.c.id.not_in(known))
    with writing(engine) as connection:
        rows = connection.execute(select(TRIAL.c.id, TRIAL.c.trial_id).where(*unknown).with_for_update()).all()
        if rows:
            given = update(TRIAL).where(TRIAL.c.id.in_([row.id for row in rows]))
            connection.execute(given.values(worker_id=None))
            set_states(connection, [row.trial_id for row in rows if row.trial_id is not None], "WAITING")


def is_owned(engine: Engine, claim: Claim) -> bool:
    """Whether a trial is open and still belongs to the claim."""
    with reading(engine) as connection:
        return connection.scalar(select(TRIAL.c.id).where(still_owned(claim))) is not None


def still_owned(claim: Claim) -> ColumnElement[bool]:
    """The condition that a trial is open and belongs to the claim."""
    return and_(belongs_to(claim), TRIAL.c.outcome.is_(None))


def belongs_to(claim: Claim) -> ColumnElement[bool]:
    """The condition that a trial belongs to the claim, whether it is open or has ended in its hands."""
    return and_(
        TRIAL.c.id == claim.id,
        TRIAL.c.study_id == number_of(claim.identity),
        TRIAL.c.worker_id == claim.worker_id,
        TRIAL.c.attempt == claim.attempt,
    )


OWNED = (
    select(TRIAL.c.id, TRIAL.c.attempt, TRIAL.c.outcome, TRIAL.c.excluded, TRIAL.c.trial_id)
    .where(
        TRIAL.c.id.in_(bindparam("ids", expanding=True)),
        TRIAL.c.study_id == number_of(bindparam("identity")),
        TRIAL.c.worker_id == bindparam("worker_id"),
    )
    .with_for_update(key_share=True)
)
"""Trials of one worker; made once, as others may wait while a statement is made."""


def lock_owned(connection: Connection, claims: Sequence[Claim]) -> dict[int, RowMapping]:
    """The rows that belong to claims of one worker, by ``id``, whether they are open or have ended in its hands.

    Nobody else changes them before the transaction ends. Each has its ``outcome``, ``excluded`` and
    ``trial_id``.
    """
    first = claims[0]
    of_worker = {"identity": first.identity, "worker_id": first.worker_id, "ids": [claim.id for claim in claims]}
    rows = {row["id"]: row for row in connection.execute(OWNED, of_worker).mappings()}
    attempts = {claim.id: claim.attempt for claim in claims}
    return {key: row for key, row in rows.items() if row["attempt"] == attempts[key]}


ROW = "row"
"""The name of the ``id`` among the values of a row that is to be changed."""


def update_rows(connection: Connection, rows: Sequence[Mapping[str, Any]], *, now: str) -> None:
    """Change rows of ``gradstudy_trial`` in one statement.

    Args:
        connection: in a transaction.
        rows: each with the same columns, and its ``id`` as ``ROW``.
        now: the column that gets the time.
    """
    given = [{name if name == ROW else f"new_{name}": value for name, value in row.items()} for row in rows]
    connection.execute(_changed(tuple(name for name in rows[0] if name != ROW), now), given)


@cache
def _changed(names: tuple[str, ...], now: str) -> Update:
    values = {name: bindparam(f"new_{name}", type_=TRIAL.c[name].type) for name in names}
    return update(TRIAL).where(TRIAL.c.id == bindparam(ROW)).values({**values, now: utc_now()})
