"""Writing how trials ended: with all their steps at once, and only while they still belong to their worker."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sqlalchemy import Connection, Dialect, Engine

from gradstudy.storage.checkpoints import discard_checkpoints
from gradstudy.storage.claims import ROW, Claim, lock_owned, update_rows
from gradstudy.storage.ended import State, add_changes
from gradstudy.storage.optuna_internals import SYSTEM_ATTRIBUTES, USER_ATTRIBUTES
from gradstudy.storage.optuna_rows import attribute_rows, insert_attributes, tell_trials
from gradstudy.storage.results import TrialResult
from gradstudy.storage.step_insert import StepInsert, StepRow
from gradstudy.storage.transactions import writing


@dataclass(frozen=True)
class OptunaAttributes:
    """What Optuna keeps of a trial's result beside its objective, by key."""

    user: Mapping[str, Any]
    system: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Steps:
    """n steps of a trial; a number that is not finite becomes NULL.

    Attributes:
        loss: ``[n]``.
        grad_norm: ``[n]`` or one number for all, before clipping.
        applied_norm: ``[n]`` or one number for all, after clipping.
        learning_rate: ``[n]`` or one number for all.
        first: the number of the first of them, from 0.
        number: ``[n]``, of each; None where they follow the first one after the other.
    """

    loss: ArrayLike
    grad_norm: ArrayLike
    applied_norm: ArrayLike
    learning_rate: ArrayLike
    first: int = 0
    number: NDArray[np.int64] | None = None


@dataclass(frozen=True, kw_only=True)
class Ending:
    """A trial that has ended, as it is written.

    Attributes:
        claim: of the trial, which has begun when it has steps or attributes.
        result: how it ended.
        steps: that it made.
        attributes: for Optuna.
        has_states: whether states of it may have been kept, which are forgotten now.
    """

    claim: Claim
    result: TrialResult
    steps: Steps | None = None
    attributes: OptunaAttributes | None = None
    has_states: bool = True


def record(engine: Engine, endings: Sequence[Ending]) -> list[bool]:
    """Write the results of trials with their steps, and tell Optuna, in one transaction.

    Args:
        engine: of the database.
        endings: of trials of one worker and one study.

    Returns:
        Whether each result is there. False when the trial was lost to another worker: then nothing is written of it.
        It may be repeated when the database did not answer.

    Raises:
        UnavailableError: nothing was written.
    """
    prepared = _Prepared.of(engine.dialect, endings)
    with writing(engine) as connection:
        rows = lock_owned(connection, [each.claim for each in endings])
        new = [each for each in endings if each.claim.id in rows and rows[each.claim.id]["outcome"] is None]
        if new:
            if len(new) < len(endings):
                prepared = _Prepared.of(engine.dialect, new)
            update_rows(connection, prepared.trials, now="finished_at")
            discard_checkpoints(connection, [each.claim.id for each in new if each.has_states])
            prepared.steps.run(connection)
            insert_attributes(connection, USER_ATTRIBUTES, prepared.user)
            insert_attributes(connection, SYSTEM_ATTRIBUTES, prepared.system)
            told = {each.claim.trial_id: each.result for each in new}
            tell_trials(connection, {key: result for key, result in told.items() if key is not None})
            reasons = {each.claim.id: rows[each.claim.id]["excluded"] for each in new}
            changed = [
                (State(None, reasons[each.claim.id]), State(each.result.outcome, reasons[each.claim.id]))
                for each in new
            ]
            add_changes(connection, new[0].claim.study_id, new[0].claim.worker_id, changed)
    return [each.claim.id in rows for each in endings]


@dataclass(frozen=True)
class _Prepared:
    """What is written of endings, made before the transaction: while it lasts, other workers may wait."""

    trials: list[dict[str, Any]]
    steps: StepInsert
    user: list[dict[str, Any]]
    system: list[dict[str, Any]]

    @classmethod
    def of(cls, dialect: Dialect, endings: Sequence[Ending]) -> Self:
        steps = [row for each in endings if each.steps is not None for row in _rows(each.claim, each.steps)]
        kept = [(each.claim.trial_id, each.attributes) for each in endings if each.attributes is not None]
        begun = [(key, attributes) for key, attributes in kept if key is not None]
        return cls(
            trials=[{**each.result.columns(), ROW: each.claim.id} for each in endings],
            steps=StepInsert.of(dialect, steps),
            user=[row for key, each in begun for row in attribute_rows(key, each.user)],
            system=[row for key, each in begun for row in attribute_rows(key, each.system)],
        )


def insert_steps(connection: Connection, claim: Claim, steps: Steps) -> None:
    """Write steps of a trial that is attached, and that has none of these yet."""
    if np.size(steps.loss):
        StepInsert.of(connection.dialect, _rows(claim, steps)).run(connection)


def _rows(claim: Claim, steps: Steps) -> list[StepRow]:
    assert claim.trial_id is not None, "a trial has steps only after it has begun"
    n = np.size(steps.loss)
    values = (steps.loss, steps.grad_norm, steps.applied_norm, steps.learning_rate)
    numbers = range(steps.first, steps.first + n) if steps.number is None else steps.number.tolist()
    return list(zip(repeat(claim.trial_id, n), numbers, *(_nullable(each, n) for each in values), strict=True))


def _nullable(values: ArrayLike, n: int) -> Iterator[float | None]:
    """``n`` numbers as Python's, None where one is not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0:
        return repeat(float(array) if np.isfinite(array) else None, n)
    numbers: list[float | None] = array.tolist()
    for index in np.flatnonzero(~np.isfinite(array)):
        numbers[index] = None
    return iter(numbers)
