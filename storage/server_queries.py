"""A read-only query on a database server."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import DBAPIError

from gradstudy.storage.database import Database
from gradstudy.storage.errors import QueryError, QueryTimeoutError, WriteRefusedError

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
        yield list(result.keys()), iter(result.partitions(chunk))


def _restrict(connection: Connection, limit_seconds: float | None) -> None:
    backend = connection.dialect.name
    connection.exec_driver_sql(READ_ONLY[backend])
    if limit_seconds is not None:
        limit = TIME_LIMIT[backend].format(milliseconds=round(limit_seconds * 1000), seconds=limit_seconds)
        connection.exec_driver_sql(limit)
    connection.commit()


def _run(connection: Connection, sql: str, limit_seconds: float | None) -> CursorResult[Any]:
    # Without parameters a percent sign is itself; without buffering the first rows come at once.
    options = {"no_parameters": True, "stream_results": True}
    try:
        return connection.execution_options(**options).exec_driver_sql(sql)
    except DBAPIError as error:
        raise _explained(error, limit_seconds) from error


def _explained(error: DBAPIError, limit_seconds: float | None) -> QueryError:
    said = error.orig
    code = getattr(said, "sqlstate", None) or (said.args[0] if said is not None and said.args else None)
    if code in WRITE_REFUSED:
        return WriteRefusedError("only queries that read are allowed here; the database refused to write")
    if code in TIMED_OUT:
        return QueryTimeoutError(f"the query took longer than {limit_seconds:g} seconds and was stopped")
    # PostgreSQL's full text shows the cursor that was put around the statement.
    primary = getattr(getattr(said, "diag", None), "message_primary", None)
    return QueryError(f"the database cannot run this: {' '.join(str(primary or said).split())}")
