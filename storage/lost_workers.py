"""Trials whose worker has gone: finding such workers and giving their trials back."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine, delete, or_, select, update

from gradstudy.storage.clock import utc_now
from gradstudy.storage.results import Outcome
from gradstudy.storage.schema import Step, Trial, Worker
from gradstudy.storage.transactions import reading, writing
from gradstudy.storage.workers import GRACE_SECONDS, alive, visible_from

MAX_RETRIES = 3
"""How many times a trial is begun anew after its worker was lost; then it has failed."""

WORKER_LOST = "worker_lost"
"""The reason of a trial that failed because every worker that had it was lost."""


@dataclass(frozen=True)
class Released:
    """What became of a lost worker's trials, by Optuna's ``trial_id``."""

    waiting: list[int]
    failed: list[int]


def release_worker(engine: Engine, worker_id: int) -> Released:
    """Give back every open trial of a lost worker, without its steps; those that are out of retries fail."""
    open_rows = (Trial.worker_id == worker_id, Trial.outcome.is_(None))
    with writing(engine) as connection:
        query = select(Trial.id, Trial.trial_id, Trial.failures).where(*open_rows).order_by(Trial.ordinal)
        rows = connection.execute(query.with_for_update()).all()
        failed = [row for row in rows if row.trial_id and row.failures >= MAX_RETRIES]
        connection.execute(delete(Step).where(Step.trial_id.in_([row.trial_id for row in rows if row.trial_id])))
        connection.execute(
            update(Trial)
            .where(Trial.id.in_([row.id for row in failed]))
            .values(outcome=Outcome.FAILED, reason=WORKER_LOST, failures=Trial.failures + 1, finished_at=utc_now())
        )
        connection.execute(update(Trial).where(*open_rows).values(worker_id=None, steps=0, failures=Trial.failures + 1))
    lost = {row.trial_id for row in failed}
    return Released(
        waiting=[row.trial_id for row in rows if row.trial_id and row.trial_id not in lost],
        failed=[row.trial_id for row in failed],
    )


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
        .where(Trial.outcome.is_(None), or_(visible_from(process_space), ~alive(grace_seconds)))
        .distinct()
        .order_by(Worker.worker_id)
    )
    with reading(engine) as connection:
        rows = connection.execute(holders).all()
    return [row.worker_id for row in rows if not row.seen or not is_alive(row.pid)]
