"""A person's own SQL, which the database itself keeps from changing anything."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from gradstudy.storage.database import Database
from gradstudy.storage.server_queries import run_on_server
from gradstudy.storage.sqlite_queries import run_on_sqlite

Answer = tuple[list[str], Iterator[Sequence[Sequence[Any]]]]
"""The names of the columns, and the rows in chunks as they come from the database."""

CHUNK = 1000
"""Rows in a chunk: enough to be quick, few enough to show the first ones at once."""


def run_query(db: Database, sql: str, *, limit_seconds: float | None = None) -> AbstractContextManager[Answer]:
    """Run one statement that only reads.

    The answer is open inside a ``with``: ``with run_query(db, sql) as (columns, chunks): ...``.

    Args:
        db: the database; its own connections are not used.
        sql: one statement.
        limit_seconds: stop it, also while rows are being fetched, after so long.

    Raises:
        WriteRefusedError: it would have changed something; everything is as before.
        QueryTimeoutError: it took too long.
        QueryError: it is no statement that gives rows; the sentence is the database's.
    """
    run = run_on_sqlite if db.path is not None else run_on_server
    return run(db, sql, limit_seconds, CHUNK)
