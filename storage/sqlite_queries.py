"""A read-only query on an SQLite file."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from gradstudy.storage.database import Database
from gradstudy.storage.errors import QueryError, QueryTimeoutError, WriteRefusedError
from gradstudy.storage.sqlite import connect_read_only

INSTRUCTIONS = 10_000
"""How many steps of SQLite's machine pass between two looks at the clock: well under a millisecond."""


@contextmanager
def run_on_sqlite(
    db: Database, sql: str, limit_seconds: float | None, chunk: int
) -> Iterator[tuple[list[str], Iterator[list[Any]]]]:
    """See `gradstudy.storage.queries.run_query`."""
    assert db.path is not None
    with closing(connect_read_only(db.path)) as connection:
        # A read-only connection may still write other files (ATTACH, VACUUM INTO).
        connection.set_authorizer(_no_other_files)
        if limit_seconds is not None:
            deadline = time.monotonic() + limit_seconds
            connection.set_progress_handler(lambda: time.monotonic() > deadline, INSTRUCTIONS)
        try:
            cursor = connection.execute(sql)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _explained(error, limit_seconds) from error
        if cursor.description is None:
            raise QueryError("the statement gives no rows; write a SELECT")
        yield [column[0] for column in cursor.description], _chunks(cursor, chunk, limit_seconds)


def _chunks(cursor: sqlite3.Cursor, chunk: int, limit_seconds: float | None) -> Iterator[list[Any]]:
    try:
        while rows := cursor.fetchmany(chunk):
            yield rows
    except sqlite3.Error as error:
        raise _explained(error, limit_seconds) from error


def _no_other_files(action: int, *details: str | None) -> int:
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def _explained(error: Exception, limit_seconds: float | None) -> QueryError:
    # The low byte is the kind of error (https://sqlite.org/rescode.html).
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if kind in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH}:
        return WriteRefusedError(f"only queries that read are allowed here; the database refused: {error}")
    if kind == sqlite3.SQLITE_INTERRUPT:
        return QueryTimeoutError(f"the query took longer than {limit_seconds:g} seconds and was stopped")
    if isinstance(error, (sqlite3.Warning, sqlite3.ProgrammingError)):
        return QueryError("give one statement at a time")
    return QueryError(f"the database cannot run this: {error}")
