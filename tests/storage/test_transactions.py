"""A transaction that reads sees one state, whoever writes between its statements."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from gradstudy.storage.database import Database
from gradstudy.storage.optuna_reader import reading_storage
from gradstudy.storage.transactions import reading, writing
from gradstudy.storage.workers import register_worker

WORKERS = text("SELECT COUNT(*) FROM gradstudy_worker")


@pytest.fixture(params=["sqlite", "postgresql", "mariadb", "mariadb that is set to READ COMMITTED"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    name, _, isolated_less = request.param.partition(" that ")
    if not isolated_less:
        yield name
        return
    # New connections have the server's level; it goes back to the default afterwards.
    server = create_engine(f"{request.getfixturevalue(name)}mysql")
    with server.connect() as connection:
        connection.exec_driver_sql("SET GLOBAL TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield name
        connection.exec_driver_sql("SET GLOBAL TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    server.dispose()


def seen_around_a_write(connection: Connection, db: Database) -> list[int]:
    """The number of workers before another connection adds one, and after."""
    before = connection.execute(WORKERS).scalar_one()
    register_worker(db.engine, "here", 1, "cpu")
    return [before, connection.execute(WORKERS).scalar_one()]


def test_a_reading_transaction_sees_one_state(db: Database) -> None:
    with reading(db.engine) as connection:
        assert seen_around_a_write(connection, db) == [0, 0]
    with reading(db.engine) as connection:
        assert connection.execute(WORKERS).scalar_one() == 1


def test_optunas_storage_for_those_who_look_sees_one_state(db: Database) -> None:
    with reading_storage(db) as storage:
        for already in (0, 1):
            with storage.engine.connect() as connection:
                assert seen_around_a_write(connection, db) == [already, already]


def test_a_connection_that_has_read_can_write_again(db: Database) -> None:
    engine: Engine = db.engine
    with reading(engine) as connection:
        connection.execute(WORKERS)
    with writing(engine) as connection:  # the pool gives the same connection again
        connection.exec_driver_sql("DELETE FROM gradstudy_worker")
