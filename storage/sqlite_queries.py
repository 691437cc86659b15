"""A read-only query on an SQLite file."""

import math
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
        clock = _Clock(limit_seconds)
        connection.set_progress_handler(clock.has_run_out, INSTRUCTIONS)
        try:
            cursor = connection.execute(sql)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _explained(error, clock) from error
        if cursor.description is None:
            raise QueryError("the statement gives no rows; write a SELECT")
        yield [column[0] for column in cursor.description], _chunks(cursor, chunk, clock)


class _Clock:
    """Looks at the time while SQLite works."""

    def __init__(self, limit_seconds: float | None) -> None:
        self.limit_seconds = math.inf if limit_seconds is None else limit_seconds
        self._end = time.monotonic() + self.limit_seconds

    def has_run_out(self) -> bool:
        return time.monotonic() > self._end


def _chunks(cursor: sqlite3.Cursor, chunk: int, clock: _Clock) -> Iterator[list[Any]]:
    try:
        while rows := cursor.fetchmany(chunk):
            yield rows
    except sqlite3.Error as error:
        raise _explained(error, clock) from error


def _no_other_files(action: int, *details: str | None) -> int:
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def _explained(error: Exception, clock: _Clock) -> BaseException:
    # The low byte is the kind of error (https://sqlite.org/rescode.html).
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if kind in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH}:
        return WriteRefusedError(f"only queries that read are allowed here; the database refused: {error}")
    if kind == sqlite3.SQLITE_INTERRUPT and clock.has_run_out():
        return QueryTimeoutError(f"the query took longer than {clock.limit_seconds:g} seconds and was stopped")
    if kind == sqlite3.SQLITE_INTERRUPT:
        return KeyboardInterrupt()  # it was raised while the clock was looked at, and SQLite kept it to itself
    if isinstance(error, (sqlite3.Warning, sqlite3.ProgrammingError)):
        return QueryError("give one statement at a time")
    return QueryError(f"the database cannot run this: {error}")
