"""Writing how a trial ended: with all its steps at once, and only while it still belongs to its worker."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sqlalchemy import Connection, Engine, TableClause, insert, select, update

from gradstudy.storage.checkpoints import discard_checkpoints
from gradstudy.storage.claims import Claim, finished_by, still_owned
from gradstudy.storage.clock import utc_now
from gradstudy.storage.optuna_internals import SYSTEM_ATTRIBUTES, USER_ATTRIBUTES
from gradstudy.storage.results import TrialResult
from gradstudy.storage.schema import Step, Trial
from gradstudy.storage.transactions import writing

StepRow = tuple[int, int, float | None, float | None, float | None, float | None]
"""The columns of ``gradstudy_step`` in their order."""


@dataclass(frozen=True)
class OptunaAttributes:
    """What Optuna keeps of a trial's result beside its objective, by key."""

    user: Mapping[str, Any]
    system: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Steps:
    """n steps of a trial, one after the other; a number that is not finite becomes NULL.

    Attributes:
        first: the number of the first of them.
        loss: ``[n]``.
        grad_norm: ``[n]`` or one number for all, before clipping.
        applied_norm: ``[n]`` or one number for all, after clipping.
        learning_rate: ``[n]`` or one number for all.
    """

    first: int = 0
    loss: ArrayLike
    grad_norm: ArrayLike
    applied_norm: ArrayLike
    learning_rate: ArrayLike


def record(
    engine: Engine,
    claim: Claim,
    result: TrialResult,
    steps: Steps | None = None,
    attributes: OptunaAttributes | None = None,
    *,
    has_states: bool = True,
) -> bool:
    """Write a trial's result with its steps and Optuna's attributes, in one transaction.

    The attributes go straight into Optuna's tables: through Optuna each is a transaction of its own, which took
    half of the time that a trial spent in the database.

    Args:
        engine: of the database.
        claim: of the trial, which is attached when it has steps or attributes.
        result: how it ended.
        steps: that it made.
        attributes: for Optuna.
        has_states: whether states of it may have been kept, which are forgotten now.

    Returns:
        Whether the result is there. False when the trial was lost to another worker: then nothing is written. It may
        be repeated when the database did not answer.

    Raises:
        UnavailableError: nothing was written.
    """
    values = {**result.columns(), "finished_at": utc_now()}
    with writing(engine) as connection:
        if connection.execute(update(Trial).where(still_owned(claim)).values(values)).rowcount != 1:
            return connection.scalar(select(Trial.id).where(finished_by(claim))) is not None
        if has_states:
            discard_checkpoints(connection, claim.id)
        if steps is not None:
            insert_steps(connection, claim, steps)
        if attributes is not None:
            _keep(connection, USER_ATTRIBUTES, claim, attributes.user)
            _keep(connection, SYSTEM_ATTRIBUTES, claim, attributes.system)
    return True


def insert_steps(connection: Connection, claim: Claim, steps: Steps) -> None:
    """Write steps of a trial that is attached, and that has none of these yet."""
    if np.size(steps.loss):
        connection.exec_driver_sql(_insert_statement(connection.engine), _rows(claim, steps))


def _rows(claim: Claim, steps: Steps) -> list[StepRow]:
    assert claim.trial_id is not None, "a trial has steps only after attach_trial"
    n = np.size(steps.loss)
    numbers = range(steps.first, steps.first + n)
    values = (steps.loss, steps.grad_norm, steps.applied_norm, steps.learning_rate)
    return list(zip(repeat(claim.trial_id, n), numbers, *(_nullable(each, n) for each in values), strict=True))


def _keep(connection: Connection, kind: TableClause, claim: Claim, attributes: Mapping[str, Any]) -> None:
    rows = [
        {"trial_id": claim.trial_id, "key": name, "value_json": json.dumps(value)} for name, value in attributes.items()
    ]
    if rows:
        connection.execute(insert(kind), rows)


def _nullable(values: ArrayLike, n: int) -> Iterator[float | None]:
    """``n`` numbers as Python's, None where one is not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0:
        return repeat(float(array) if np.isfinite(array) else None, n)
    numbers: list[float | None] = array.tolist()
    for index in np.flatnonzero(~np.isfinite(array)):
        numbers[index] = None
    return iter(numbers)


def _insert_statement(engine: Engine) -> str:
    """The statement in the driver's own form: SQLAlchemy's would look at each of 10,000 rows."""
    columns = [column.name for column in Step.__table__.columns]
    mark = "?" if engine.dialect.paramstyle == "qmark" else "%s"
    return f"INSERT INTO {Step.__tablename__} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})"
