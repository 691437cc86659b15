"""Trials whose worker has gone: finding such workers and giving their trials back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, or_, select, update

from gradstudy.storage.checkpoints import discard_checkpoints
from gradstudy.storage.clock import utc_now
from gradstudy.storage.ended import State, add_changes
from gradstudy.storage.optuna_rows import set_states
from gradstudy.storage.results import Outcome
from gradstudy.storage.schema import Step, Study, Trial, Worker
from gradstudy.storage.studies import EXTERNAL
from gradstudy.storage.transactions import reading, writing
from gradstudy.storage.workers import GRACE_SECONDS, alive, visible_from

SAME_STEP = 3
"""How many workers in a row may be lost with a trial at the same step; then it has failed: it is what ends them."""
MOST_LOSSES = 30
"""How many may be lost with it in all since it was last checkpointed."""

WORKER_LOST = "worker_lost"
"""The reason of a trial that failed because every worker that had it was lost."""


@dataclass(frozen=True)
class Released:
    """What became of a lost worker's trials, by Optuna's ``trial_id``."""

    waiting: list[int]
    failed: list[int]


def release_worker(engine: Engine, worker_id: int) -> Released:
    """Give back every open trial of a lost worker, without its steps; one that ends its workers has failed.

    Optuna is told in the same transaction.

    A trial that was lost before says at which step it is, see ``tell_steps``. A run that its own program recorded has
    failed, too, with the steps that are there: nobody else can go on with it.
    """
    open_rows = (Trial.worker_id == worker_id, Trial.outcome.is_(None))
    waiting: list[int] = []
    failed: list[int] = []
    ended: dict[int, list[tuple[State, State]]] = {}
    with writing(engine) as connection:
        rows = connection.execute(
            select(*Trial.__table__.c).where(*open_rows).order_by(Trial.ordinal).with_for_update()
        ).all()
        external = _external(connection, {row.study_id for row in rows})
        for row in rows:
            if row.study_id in external:
                failed += (of_run := _end_recorded(connection, row))
                if of_run:
                    ended.setdefault(row.study_id, []).append(_as_failed(row))
                continue
            failures = row.failures + 1 if row.lost_at == row.steps else 1
            counted = {"failures": failures, "losses": row.losses + 1, "lost_at": row.steps}
            ends_workers = failures >= SAME_STEP or row.losses + 1 >= MOST_LOSSES
            if row.trial_id is not None:
                connection.execute(delete(Step).where(Step.trial_id == row.trial_id))
                (failed if ends_workers else waiting).append(row.trial_id)
            if row.trial_id is not None and ends_workers:
                discard_checkpoints(connection, [row.id])
                counted |= {"outcome": Outcome.FAILED, "reason": WORKER_LOST, "finished_at": utc_now()}
                ended.setdefault(row.study_id, []).append(_as_failed(row))
            else:
                counted |= {"worker_id": None, "steps": 0}
            connection.execute(update(Trial).where(Trial.id == row.id).values(counted))
        set_states(connection, waiting, "WAITING")
        set_states(connection, failed, "FAIL")
        for study_id in sorted(ended):  # in the order in which others who end trials of several wait for them
            add_changes(connection, study_id, worker_id, ended[study_id])
    return Released(waiting=waiting, failed=failed)


def _as_failed(row: Row[Any]) -> tuple[State, State]:
    """What an open trial was counted by, and what it is once it has failed."""
    return State(None, row.excluded), State(Outcome.FAILED, row.excluded)


def _external(connection: Connection, studies: set[int]) -> set[int]:
    """Those of the studies whose runs are recorded by their own programs."""
    rows = connection.execute(select(Study.study_id, Study.spec).where(Study.study_id.in_(studies)))
    return {row.study_id for row in rows if EXTERNAL in row.spec}


def _end_recorded(connection: Connection, row: Row[Any]) -> list[int]:
    """End a recorded run whose program is lost; one that Optuna has no trial of yet has never begun.

    Returns:
        The ``trial_id`` of the trial that has failed, if there is one.
    """
    if row.trial_id is None:
        connection.execute(delete(Trial).where(Trial.id == row.id))
        fewer = update(Study).where(Study.study_id == row.study_id).values(budget=Study.budget - 1)
        connection.execute(fewer)
        return []
    ended = {"outcome": Outcome.FAILED, "reason": WORKER_LOST, "finished_at": utc_now()}
    connection.execute(update(Trial).where(Trial.id == row.id).values(ended))
    return [row.trial_id]


def abandoned_workers(
    engine: Engine, process_space: str | None, is_alive: Callable[[int], bool], grace_seconds: int = GRACE_SECONDS
) -> list[int]:
    """The workers that hold open trials and are lost.

    A worker is lost when nobody saw it for the grace period; one whose process can be seen from here as soon as it
    has ended.

    Args:
        engine: of the database.
        process_space: whose processes ``is_alive`` can see; with None there are no such processes.
        is_alive: whether the process of a pid runs.
        grace_seconds: after how long without a sign of life a worker is lost.
    """
    holders = (
        select(Worker.worker_id, Worker.pid, alive(grace_seconds).label("seen"))
        .join(Trial, Trial.worker_id == Worker.worker_id)
        # Said by study, so that open trials are found by their index among all that have ended.
        .where(Trial.study_id.in_(select(Study.study_id)), Trial.outcome.is_(None))
        .where(or_(visible_from(process_space), ~alive(grace_seconds)))
        .distinct()
        .order_by(Worker.worker_id)
    )
    with reading(engine) as connection:
        rows = connection.execute(holders).all()
    return [row.worker_id for row in rows if not row.seen or not is_alive(row.pid)]
