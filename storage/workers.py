"""Workers: the processes that run trials, when each was last seen, and which are alive by the database's clock."""

from sqlalchemy import ColumnElement, Connection, Engine, and_, false, func, insert, select, update

from gradstudy.storage.clock import seconds_ago, utc_now
from gradstudy.storage.schema import Worker
from gradstudy.storage.transactions import reading, writing

HEARTBEAT_SECONDS = 5
"""Time between two signs of life of a worker."""

GRACE_SECONDS = 60
"""A worker that was not seen for so long counts as lost."""


RECORDER = "recording"
"""Stands in the place of the device of a process that records a run of its own: it takes no trials."""


def alive(grace_seconds: int = GRACE_SECONDS) -> ColumnElement[bool]:
    """The condition that a worker has not stopped and was seen within the grace period."""
    return and_(Worker.stopped_at.is_(None), Worker.last_seen_at >= seconds_ago(grace_seconds))


def visible_from(process_space: str | None) -> ColumnElement[bool]:
    """The condition that a worker's process can be seen from there by its number."""
    return false() if process_space is None else Worker.process_space == process_space


def count_alive(connection: Connection) -> int:
    """How many workers are alive that take trials."""
    return connection.scalar(select(func.count()).select_from(Worker).where(alive(), Worker.device != RECORDER)) or 0


def register_worker(engine: Engine, host: str, pid: int, device: str, process_space: str | None = None) -> int:
    """Note a worker that starts; return its ``worker_id``, which no other worker has had.

    Args:
        engine: of the database.
        host: where it runs.
        pid: of its process.
        device: where it trains.
        process_space: where ``pid`` means this process; None lets only its signs of life say whether it is alive.
    """
    row = insert(Worker).values(
        host=host,
        pid=pid,
        process_space=process_space,
        device=device,
        started_at=utc_now(),
        last_seen_at=utc_now(),
    )
    with writing(engine) as connection:
        made = connection.execute(row).inserted_primary_key
    assert made is not None
    return int(made[0])


def living_workers(engine: Engine) -> dict[tuple[str, str], int]:
    """How many workers are alive, by host and device."""
    query = select(Worker.host, Worker.device, func.count()).where(alive()).group_by(Worker.host, Worker.device)
    with reading(engine) as connection:
        rows = connection.execute(query.order_by(Worker.host, Worker.device)).all()
    return {(host, device): count for host, device, count in rows}


def touch_worker(engine: Engine, worker_id: int) -> None:
    """Note that a worker is alive."""
    with writing(engine) as connection:
        connection.execute(update(Worker).where(Worker.worker_id == worker_id).values(last_seen_at=utc_now()))


def stop_worker(engine: Engine, worker_id: int) -> None:
    """Note that a worker has stopped in good order."""
    with writing(engine) as connection:
        connection.execute(
            update(Worker).where(Worker.worker_id == worker_id).values(last_seen_at=utc_now(), stopped_at=utc_now())
        )
