"""What is particular to read-only queries on servers; the rest is in test_queries."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from gradstudy.storage.database import Database
from gradstudy.storage.errors import QueryError, QueryTimeoutError
from gradstudy.storage.queries import run_query
from gradstudy.storage.query_clock import QueryClock
from gradstudy.storage.server_queries import explaining
from gradstudy.storage.studies import Versions, create_study

VERSIONS = Versions(gradstudy="0.1", optuna="5.0.0", torch="2.9")
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT "


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database with one study on each kind of server."""
    with Database.open(request.getfixturevalue(f"{request.param}_url")) as database:
        create_study(database, "s", {"task": "copy"}, 5, VERSIONS)
        yield database


def query(db: Database, sql: str, limit_seconds: float | None = None) -> tuple[list[str], list[list[Any]]]:
    with run_query(db, sql, limit_seconds=limit_seconds) as answer:
        return answer.columns, [list(map(tuple, chunk)) for chunk in answer.chunks]


# The first is slow before the first row, the second slow between its rows.
@pytest.mark.parametrize(
    "slow", ["count(*) FROM n a, n b, n c, n d, n e", "a.i FROM n a, n b, n c, n d WHERE a.i + b.i + c.i + d.i < 0"]
)
def test_a_query_that_takes_too_long_is_stopped(server: Database, slow: str) -> None:
    with pytest.raises(QueryTimeoutError, match=r"^the query took longer than 0.3 seconds and was stopped$"):
        query(server, NUMBERS.format(last=500) + slow, limit_seconds=0.3)


def test_many_rows_that_take_too_long_together_are_stopped(server: Database) -> None:
    with pytest.raises(QueryTimeoutError):
        query(server, NUMBERS.format(last=900) + "a.i FROM n a, n b, n c", limit_seconds=0.5)


def test_the_next_user_of_the_engine_may_write(server: Database) -> None:
    query(server, "SELECT 1")
    with server.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE gradstudy_study SET budget = 6")
    assert query(server, "SELECT budget FROM gradstudy_study") == (["budget"], [[(6,)]])


def test_what_describes_a_query_is_a_query(server: Database) -> None:
    columns, ((first, *_), *_) = query(server, "EXPLAIN SELECT budget FROM gradstudy_study")
    assert columns
    assert len(first) == len(columns)


def test_one_statement_cannot_allow_the_next_to_write(server: Database) -> None:
    with pytest.raises(QueryError):
        query(server, "SET TRANSACTION READ WRITE; DELETE FROM gradstudy_study")
    assert query(server, "SELECT budget FROM gradstudy_study") == (["budget"], [[(5,)]])


def test_who_wants_no_more_rows_does_not_wait_for_them(server: Database) -> None:
    def read_one_chunk() -> None:
        with run_query(server, NUMBERS.format(last=900) + "a.i FROM n a, n b, n c, n d") as answer:
            next(answer.chunks)
            raise KeyError

    with pytest.raises(KeyError):
        read_one_chunk()


def test_a_query_that_somebody_else_stops_is_not_said_to_be_slow(server: Database) -> None:
    """Here it is stopped by itself, as nobody else knows when it runs."""
    postgresql = server.engine.dialect.name == "postgresql"
    stop = "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)" if postgresql else "KILL QUERY CONNECTION_ID()"
    with server.engine.connect() as connection, pytest.raises(DBAPIError) as stopped:
        connection.exec_driver_sql(stop)
    for limit in (None, 60.0):
        clock = QueryClock(limit)
        with clock.running(), pytest.raises(QueryError) as caught:
            explaining(partial(_raise, stopped.value), clock)
        assert not isinstance(caught.value, QueryTimeoutError)


def _raise(error: BaseException) -> None:
    raise error
