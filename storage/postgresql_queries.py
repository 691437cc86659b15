"""A read-only query on PostgreSQL: only what a cursor takes, under a role that may only read."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.exc import DBAPIError

from gradstudy.storage.database import Database
from gradstudy.storage.errors import QueryError
from gradstudy.storage.query_clock import CHUNK, Answer, QueryClock, Rows
from gradstudy.storage.query_role import CURSOR, FETCH, OPEN, codes_of, has_query_role, may_write
from gradstudy.storage.server_queries import explaining, own_connection

if TYPE_CHECKING:
    import psycopg

Opened = tuple[list[str], Callable[[], Rows]]
"""The names of the columns, and what fetches the next rows."""

NO_CURSOR = "42601"
"""SQLSTATE of what is no statement, and of one that ``DECLARE CURSOR`` does not take."""

DESCRIBES = re.compile(r"(\s|--[^\n]*\n|/\*.*?\*/)*(explain|show)\b", re.IGNORECASE | re.DOTALL)
"""A statement of few rows that a cursor of a function takes, and ``DECLARE CURSOR`` does not."""

TYPE = text(
    "SELECT format_type(:oid, :modifier) FROM pg_type WHERE oid = :oid AND (typtype <> 'p' OR typname = 'record')"
)


@contextmanager
def run_on_postgresql(db: Database, sql: str, clock: QueryClock) -> Iterator[Answer]:
    """See `gradstudy.storage.queries.run_query`."""
    with own_connection(db) as connection:
        has_role = has_query_role(connection)
        has_more_rights = not has_role and may_write(connection)
        _set_limits(connection, clock)
        open_it = _open_as_reader if has_role else _open_as_user
        with ExitStack() as opened:
            with clock.running():
                columns, fetch = explaining(partial(open_it, connection, sql, opened), clock)
            yield Answer(columns, clock.chunks(partial(explaining, fetch, clock)), has_more_rights)


def _set_limits(connection: Connection, clock: QueryClock) -> None:
    # A reader of the rows may pause for as long as it likes.
    connection.exec_driver_sql("SET idle_in_transaction_session_timeout = 0")
    if math.isfinite(clock.limit_seconds):
        connection.exec_driver_sql(f"SET statement_timeout = {math.ceil(clock.limit_seconds * 1000)}")
    connection.commit()


def _open_as_reader(connection: Connection, sql: str, opened: ExitStack) -> Opened:
    connection.execute(text(f"SELECT {OPEN}(:sql)"), {"sql": sql})
    described = _driver(connection).pgconn.describe_portal(CURSOR.encode())
    columns = [(described.fname(number) or b"").decode() for number in range(described.nfields)]
    if not columns:
        raise QueryError("the statement gives no columns; write a SELECT")
    shape = ", ".join(
        f"c{number} {_type(connection, column, described.ftype(number), described.fmod(number))}"
        for number, column in enumerate(columns)
    )

    def fetch() -> Sequence[Any]:
        return connection.exec_driver_sql(f"SELECT * FROM {FETCH}({CHUNK}) AS rows ({shape})").all()

    return columns, fetch


def _type(connection: Connection, column: str, oid: int, modifier: int) -> str:
    name = connection.scalar(TYPE.bindparams(bindparam("oid", oid), bindparam("modifier", modifier)))
    if name is None:
        raise QueryError(f"the column {column!r} has no type that can be shown; leave it out, or cast it to another")
    return str(name)


def _open_as_user(connection: Connection, sql: str, opened: ExitStack) -> Opened:
    # A statement that is prepared is one statement: a second one could allow the first to write.
    _driver(connection).prepare_threshold = 0
    # Without parameters a percent sign is itself.
    plain = connection.execution_options(no_parameters=True)
    try:
        result = plain.execution_options(stream_results=True).exec_driver_sql(sql)
    except DBAPIError as error:
        if NO_CURSOR not in codes_of(error) or not DESCRIBES.match(sql):
            raise
        connection.rollback()
        result = plain.execution_options(stream_results=False).exec_driver_sql(sql)
    opened.callback(result.close)
    return list(result.keys()), partial(result.fetchmany, CHUNK)


def _driver(connection: Connection) -> "psycopg.Connection":
    return cast("psycopg.Connection", connection.connection.dbapi_connection)
