"""Hundreds of workers share a server: each has two connections, and a moment's need of two more."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import NullPool, QueuePool, create_engine, exc, text
from waiting import until

from gradstudy.storage.claims import Claim
from gradstudy.storage.database import Database
from gradstudy.storage.workers import touch_worker

SESSIONS = {
    "postgresql": "SELECT COUNT(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mariadb": "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}


@pytest.fixture(params=["postgresql", "mariadb"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sessions(url: str, backend: str) -> Iterator[Callable[[], int]]:
    """How many connections to the database the server counts, besides the one that asks."""
    query = text(SESSIONS[backend])
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield lambda: connection.execute(query).scalar_one()


def test_a_worker_keeps_two_connections(
    db: Database, run: Callable[..., Claim], worker_id: int, sessions: Callable[[], int]
) -> None:
    run("trained")
    with ThreadPoolExecutor(4) as threads:  # a heartbeat beside the work, and more than there ever is
        for future in [threads.submit(touch_worker, db.engine, worker_id) for _ in range(20)]:
            future.result()
    run("diverged")
    until(lambda: sessions() == 2)  # a server notices the end of a connection a little later


def test_an_engine_opens_two_connections_at_most(db: Database, sessions: Callable[[], int]) -> None:
    for engine in (db.engine, db.optuna_storage.engine):
        pool = engine.pool
        assert isinstance(pool, QueuePool)
        with engine.connect(), engine.connect():
            assert sessions() <= 4
            pool._timeout = 0.01
            with pytest.raises(exc.TimeoutError, match="size 1 overflow 1"):
                engine.connect()
    until(lambda: sessions() == 2)  # a server notices the end of a connection a little later
