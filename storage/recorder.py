"""Writing what trials measure: buffered, in bulk, and only while the trial still belongs to its worker."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sqlalchemy import Connection, Engine, TableClause, insert, select, update

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


@dataclass
class _Buffer:
    claim: Claim
    rows: list[StepRow] = field(default_factory=list)


class Recorder:
    """Collects the steps of a worker's trials and writes them many at a time.

    Not for several threads at once.
    """

    def __init__(self, engine: Engine) -> None:
        """Begin with nothing collected."""
        self._engine = engine
        self._insert = _insert_statement(engine)
        self._buffers: dict[int, _Buffer] = {}

    def add_steps(
        self,
        claim: Claim,
        first_step: int,
        loss: ArrayLike,
        grad_norm: ArrayLike,
        applied_norm: ArrayLike,
        learning_rate: ArrayLike,
    ) -> None:
        """Collect n consecutive steps of an attached trial; nothing is written yet.

        Args:
            claim: whose steps they are.
            first_step: the number of the first of them.
            loss: ``[n]``; a number that is not finite becomes NULL, here and below.
            grad_norm: ``[n]`` or one number for all, before clipping.
            applied_norm: ``[n]`` or one number for all, after clipping.
            learning_rate: ``[n]`` or one number for all.
        """
        assert claim.trial_id is not None, "a trial has steps only after attach_trial"
        n = np.size(loss)
        columns = (_nullable(values, n) for values in (loss, grad_norm, applied_norm, learning_rate))
        buffer = self._buffers.setdefault(claim.id, _Buffer(claim))
        buffer.rows.extend(zip(repeat(claim.trial_id, n), range(first_step, first_step + n), *columns, strict=True))

    def finish(self, claim: Claim, result: TrialResult, attributes: OptunaAttributes | None = None) -> bool:
        """Write a trial's result, the rest of its steps and Optuna's attributes, in one transaction.

        The attributes go straight into Optuna's tables: through Optuna each is a transaction of its own, which took
        half of the time that a trial spent in the database.

        Returns:
            Whether the result is there. False when the trial was lost to another worker: then nothing is written
            and its collected steps are thrown away. It may be repeated when the database did not answer.

        Raises:
            UnavailableError: nothing was written, and everything is still there for the next time.
        """
        buffer = self._buffers.get(claim.id)
        values = {**result.columns(), "finished_at": utc_now()}
        with writing(self._engine) as connection:
            owned = connection.execute(update(Trial).where(still_owned(claim)).values(values)).rowcount == 1
            if owned:
                if buffer is not None and buffer.rows:
                    connection.exec_driver_sql(self._insert, buffer.rows)
                if attributes is not None:
                    _keep(connection, USER_ATTRIBUTES, claim, attributes.user)
                    _keep(connection, SYSTEM_ATTRIBUTES, claim, attributes.system)
            else:
                owned = bool(connection.scalar(select(Trial.id).where(finished_by(claim))))
        self.discard(claim)
        return owned

    def discard(self, claim: Claim) -> None:
        """Throw away what was collected for a trial and not yet written."""
        self._buffers.pop(claim.id, None)


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
