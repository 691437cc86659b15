"""A read-only query on a database server."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import DBAPIError, ResourceClosedError

from gradstudy.storage.database import Database
from gradstudy.storage.errors import QueryError, QueryTimeoutError, WriteRefusedError

if TYPE_CHECKING:
    import psycopg

READ_ONLY = {
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}

TIME_LIMIT = {
    "postgresql": "SET statement_timeout = {milliseconds}",
    "mysql": "SET max_execution_time = {milliseconds}",
    "mariadb": "SET max_statement_time = {seconds}",
}

WRITE_REFUSED = {"25006", 1792}
"""PostgreSQL's SQLSTATE and MySQL's number for a write in a read-only transaction."""

TIMED_OUT = {"57014", 3024, 1969}
"""PostgreSQL's, MySQL's and MariaDB's for a statement that took too long."""


NO_CURSOR = "42601"
"""PostgreSQL's SQLSTATE for what is no statement, and for one that a cursor cannot be put around."""


@contextmanager
def run_on_server(
    db: Database, sql: str, limit_seconds: float | None, chunk: int
) -> Iterator[tuple[list[str], Iterator[Sequence[Any]]]]:
    """See `gradstudy.storage.queries.run_query`."""
    with db.engine.connect() as connection:
        # The settings are the session's: the connection must not go back to the pool.
        connection.detach()
        _restrict(connection, limit_seconds)
        result = _run(connection, sql, limit_seconds)
        if not result.returns_rows:
            raise QueryError("the statement gives no rows; write a SELECT")
        try:
            yield list(result.keys()), _chunks(result, chunk, limit_seconds)
        except BaseException:
            if _is_mysql(connection) and not connection.invalidated:
                _end(db, connection, result, chunk)
            raise
        finally:
            result.close()


def _restrict(connection: Connection, limit_seconds: float | None) -> None:
    backend = connection.dialect.name
    if _is_mysql(connection):  # MariaDB answers to MySQL's name too, but has other settings
        backend = "mariadb" if getattr(connection.dialect, "is_mariadb", False) else "mysql"
    if backend == "postgresql":
        # A statement that is prepared is one statement: a second one could allow the first to write.
        cast("psycopg.Connection", connection.connection.dbapi_connection).prepare_threshold = 0
    connection.exec_driver_sql(READ_ONLY[backend])
    if limit_seconds is not None:
        limit = TIME_LIMIT[backend].format(milliseconds=math.ceil(limit_seconds * 1000), seconds=limit_seconds)
        connection.exec_driver_sql(limit)
    connection.commit()


def _run(connection: Connection, sql: str, limit_seconds: float | None) -> CursorResult[Any]:
    # Without parameters a percent sign is itself; without buffering the first rows come at once.
    options = {"no_parameters": True, "stream_results": True}
    try:
        try:
            return connection.execution_options(**options).exec_driver_sql(sql)
        except DBAPIError as error:
            if NO_CURSOR not in _codes(error):
                raise
            # What PostgreSQL puts no cursor around, such as EXPLAIN, has few rows.
            connection.rollback()
            return connection.execution_options(stream_results=False).exec_driver_sql(sql)
    except DBAPIError as error:
        raise _explained(error, limit_seconds) from error


def _chunks(result: CursorResult[Any], chunk: int, limit_seconds: float | None) -> Iterator[Sequence[Any]]:
    # The server limits the time of each fetch; together they may not take longer either.
    end = time.monotonic() + (math.inf if limit_seconds is None else limit_seconds)
    try:
        for rows in result.partitions(chunk):
            if time.monotonic() > end:
                raise _timeout(limit_seconds)
            yield rows
    except DBAPIError as error:
        raise _explained(error, limit_seconds) from error


def _end(db: Database, connection: Connection, result: CursorResult[Any], chunk: int) -> None:
    """End a statement of MySQL's, which otherwise sends all its rows before it listens again."""
    thread = cast("Any", connection.connection.dbapi_connection).thread_id()
    with suppress(DBAPIError), db.engine.connect() as other:
        other.exec_driver_sql(f"KILL QUERY {thread}")
    with suppress(DBAPIError, ResourceClosedError):
        for _ in result.partitions(chunk):
            pass


def _is_mysql(connection: Connection) -> bool:
    return connection.dialect.name in {"mysql", "mariadb"}


def _timeout(limit_seconds: float | None) -> QueryTimeoutError:
    return QueryTimeoutError(f"the query took longer than {limit_seconds or 0:g} seconds and was stopped")


def _codes(error: DBAPIError) -> set[Any]:
    """What the database calls an error: the standard's SQLSTATE, and a number of its own."""
    said = error.orig
    return {getattr(said, "sqlstate", None), *(said.args[:1] if said is not None else ())}


def _explained(error: DBAPIError, limit_seconds: float | None) -> QueryError:
    codes = _codes(error)
    if codes & WRITE_REFUSED:
        return WriteRefusedError("only queries that read are allowed here; the database refused to write")
    if codes & TIMED_OUT:
        return _timeout(limit_seconds)
    # PostgreSQL's full text shows the cursor that was put around the statement.
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    return QueryError(f"the database cannot run this: {' '.join(str(primary or error.orig).split())}")
