"""A read-only query on an SQLite file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from gradstudy.storage.damage import refuse_damage
from gradstudy.storage.database import Database
from gradstudy.storage.errors import QueryError, WriteRefusedError
from gradstudy.storage.query_clock import CHUNK, Answer, QueryClock, Rows
from gradstudy.storage.sqlite import connect_read_only

OTHER_FILE = "too many attached databases"
"""How SQLite begins to say that a statement would open another file."""

INSTRUCTIONS = 10_000
"""How many steps of SQLite's machine pass between two looks at the clock: well under a millisecond."""


@contextmanager
def run_on_sqlite(db: Database, sql: str, clock: QueryClock) -> Iterator[Answer]:
    """See `gradstudy.storage.queries.run_query`."""
    assert db.path is not None
    with closing(connect_read_only(db.path)) as connection:
        # A read-only connection may still write other files (ATTACH, VACUUM INTO). A limit of SQLite itself refuses it:
        # Ctrl-C in a function that it asked would be taken for a refusal.
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.set_progress_handler(clock.has_run_out, INSTRUCTIONS)
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        try:
            with clock.running():
                cursor = connection.execute(sql)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _explained(error, db.path, clock) from error
        if cursor.description is None:
            raise QueryError("the statement gives no rows; write a SELECT")
        yield Answer(
            [column[0] for column in cursor.description], clock.chunks(partial(_fetch, cursor, db.path, clock))
        )


def _fetch(cursor: sqlite3.Cursor, path: Path, clock: QueryClock) -> Rows:
    try:
        return cursor.fetchmany(CHUNK)
    except sqlite3.Error as error:
        raise _explained(error, path, clock) from error


def _explained(error: Exception, path: Path, clock: QueryClock) -> BaseException:
    # The low byte is the kind of error (https://sqlite.org/rescode.html).
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if kind in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        refuse_damage(path, error)
    if kind == sqlite3.SQLITE_READONLY or str(error).startswith(OTHER_FILE):
        return WriteRefusedError(f"only queries that read are allowed here; the database refused: {error}")
    if kind == sqlite3.SQLITE_INTERRUPT and clock.has_run_out():
        return clock.timeout()
    if kind == sqlite3.SQLITE_INTERRUPT:
        return KeyboardInterrupt()  # it was raised while the clock was looked at, and SQLite kept it to itself
    if isinstance(error, (sqlite3.Warning, sqlite3.ProgrammingError)):
        return QueryError("give one statement at a time")
    return QueryError(f"the database cannot run this: {error}")
