"""What read-only queries on every database server have in common."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from gradstudy.storage.database import Database
from gradstudy.storage.errors import QueryError, WriteRefusedError
from gradstudy.storage.query_clock import QueryClock
from gradstudy.storage.query_role import codes_of
from gradstudy.storage.transactions import reading

Given = TypeVar("Given")

READ_ONLY = {
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
"""What makes every later transaction of a session read only."""

TAKEN = "only queries that read the results are allowed here, such as SELECT, VALUES, EXPLAIN and SHOW"

REFUSED = {"25006", "42501", "42P11", 1044, 1142, 1143, 1227, 1295, 1370, 1792}
"""PostgreSQL's SQLSTATE and MySQL's number for a write in a read-only transaction, for a right that the role does not
have, and for a statement that gives no rows."""

TIMED_OUT = {"57014", 1317, 3024, 1969}
"""PostgreSQL's, MySQL's and MariaDB's for a statement that was stopped."""


@contextmanager
def own_connection(db: Database) -> Iterator[Connection]:
    """A connection that nobody uses afterwards, because the settings of a query are its session's.

    Raises:
        UnavailableError: the server does not answer.
    """
    with reading(db.engine) as connection:
        connection.detach()
        connection.exec_driver_sql(READ_ONLY[connection.dialect.name])
        connection.commit()
        yield connection


def explaining(ask: Callable[[], Given], clock: QueryClock) -> Given:
    """What the database gives.

    Raises:
        QueryError: one of its kinds, in the place of the driver's error.
    """
    try:
        return ask()
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        raise _explained(error, clock) from error


def _explained(error: DBAPIError, clock: QueryClock) -> QueryError:
    codes = codes_of(error)
    if codes & REFUSED:
        return WriteRefusedError(f"{TAKEN}; the database refused: {_said(error)}")
    if codes & TIMED_OUT and clock.has_run_out():  # others may stop it, too
        return clock.timeout()
    return QueryError(f"the database cannot run this: {_said(error)}")


def _said(error: DBAPIError) -> str:
    """PostgreSQL's full text shows the cursor that was put around the statement, MySQL's begins with its number."""
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    return " ".join(str(primary or error.orig.args[-1] if error.orig and error.orig.args else error).split())
