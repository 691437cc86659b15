"""Which workers are alive: those that were seen within the grace period, by the database's clock."""

from sqlalchemy import ColumnElement, Connection, and_, func, select

from gradstudy.storage.clock import seconds_ago
from gradstudy.storage.schema import Worker

HEARTBEAT_SECONDS = 5
"""Time between two signs of life of a worker."""

GRACE_SECONDS = 60
"""A worker that was not seen for so long counts as lost."""


def alive(grace_seconds: int = GRACE_SECONDS) -> ColumnElement[bool]:
    """The condition that a worker has not stopped and was seen within the grace period."""
    return and_(Worker.stopped_at.is_(None), Worker.last_seen_at >= seconds_ago(grace_seconds))


def count_alive(connection: Connection) -> int:
    """How many workers are alive."""
    return connection.scalar(select(func.count()).select_from(Worker).where(alive())) or 0
