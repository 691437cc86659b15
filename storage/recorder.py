"""Writing what trials measure: buffered, in bulk, and only while the trial still belongs to its worker."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
from numpy.typing import ArrayLike
from sqlalchemy import Connection, Engine, bindparam, select, update

from gradstudy.storage.claims import Claim, still_owned
from gradstudy.storage.clock import utc_now
from gradstudy.storage.results import TrialResult
from gradstudy.storage.schema import Step, Trial
from gradstudy.storage.transactions import writing

StepRow = tuple[int, int, float | None, float | None, float | None, float | None]
"""The columns of ``gradstudy_step`` in their order."""

COUNT_STEPS = update(Trial).where(Trial.id == bindparam("row")).values(steps=Trial.steps + bindparam("more"))


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

    def flush(self) -> list[Claim]:
        """Write everything that was collected, in one transaction.

        Returns:
            The claims that were lost to another worker; their steps are thrown away.

        Raises:
            UnavailableError: nothing was written, and everything is still there for the next time.
        """
        if not self._buffers:
            return []
        with writing(self._engine) as connection:
            owned = _owned(connection, self._buffers.values())
            self._write(connection, [self._buffers[id_] for id_ in owned])
        lost = [buffer.claim for id_, buffer in self._buffers.items() if id_ not in owned]
        self._buffers.clear()
        return lost

    def finish(self, claim: Claim, result: TrialResult) -> bool:
        """Write a trial's result and the rest of its steps, in one transaction.

        Returns:
            False when the trial was lost to another worker (or has ended already): then nothing is written
            and its collected steps are thrown away.

        Raises:
            UnavailableError: nothing was written, and everything is still there for the next time.
        """
        buffer = self._buffers.get(claim.id)
        values = {**result.columns(), "finished_at": utc_now()}
        with writing(self._engine) as connection:
            owned = connection.execute(update(Trial).where(still_owned(claim)).values(values)).rowcount == 1
            if owned and buffer is not None:
                connection.exec_driver_sql(self._insert, buffer.rows)
        self.discard(claim)
        return owned

    def discard(self, claim: Claim) -> None:
        """Throw away what was collected for a trial and not yet written."""
        self._buffers.pop(claim.id, None)

    def _write(self, connection: Connection, buffers: list[_Buffer]) -> None:
        if buffers:
            rows = [row for buffer in buffers for row in buffer.rows]
            connection.exec_driver_sql(self._insert, rows)
            counts = [{"row": buffer.claim.id, "more": len(buffer.rows)} for buffer in buffers]
            connection.execute(COUNT_STEPS, counts)


def _owned(connection: Connection, buffers: Iterable[_Buffer]) -> set[int]:
    """The ids of those that still belong to their claim, held until the transaction ends."""
    claims = {buffer.claim.id: (buffer.claim.worker_id, buffer.claim.attempt) for buffer in buffers}
    query = select(Trial.id, Trial.worker_id, Trial.attempt).where(Trial.id.in_(claims), Trial.outcome.is_(None))
    rows = connection.execute(query.with_for_update())
    return {id_ for id_, worker_id, attempt in rows if claims[id_] == (worker_id, attempt)}


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
