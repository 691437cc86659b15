"""Trials whose worker has gone: finding such workers and giving their trials back."""

from collections.abc import Callable

from sqlalchemy import Engine, delete, select, update

from gradstudy.storage.schema import Step, Trial, Worker
from gradstudy.storage.transactions import reading, writing


def release_worker(engine: Engine, worker_id: int) -> list[int]:
    """Give back every open trial of a worker, without its steps.

    Returns:
        The ``trial_id`` of those that Optuna knows.
    """
    open_rows = (Trial.worker_id == worker_id, Trial.outcome.is_(None))
    with writing(engine) as connection:
        query = select(Trial.trial_id).where(*open_rows, Trial.trial_id.is_not(None)).order_by(Trial.ordinal)
        trial_ids = [trial_id for trial_id in connection.scalars(query.with_for_update()) if trial_id]
        connection.execute(delete(Step).where(Step.trial_id.in_(trial_ids)))
        connection.execute(update(Trial).where(*open_rows).values(worker_id=None, steps=0))
    return trial_ids


def abandoned_workers(engine: Engine, host: str, alive: Callable[[int], bool]) -> list[int]:
    """The workers of a host that hold open trials and whose process is not alive.

    Args:
        engine: of the database.
        host: whose processes ``alive`` can see.
        alive: whether the process of a pid runs.
    """
    holders = (
        select(Worker.worker_id, Worker.pid)
        .join(Trial, Trial.worker_id == Worker.worker_id)
        .where(Worker.host == host, Trial.outcome.is_(None))
        .distinct()
        .order_by(Worker.worker_id)
    )
    with reading(engine) as connection:
        rows = connection.execute(holders).all()
    return [worker_id for worker_id, pid in rows if not alive(pid)]
