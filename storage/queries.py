"""A person's own SQL, which the database itself keeps from changing anything."""

from contextlib import AbstractContextManager

from gradstudy.storage.database import Database
from gradstudy.storage.errors import QueryError
from gradstudy.storage.mysql_queries import run_on_mysql
from gradstudy.storage.postgresql_queries import run_on_postgresql
from gradstudy.storage.query_clock import Answer, QueryClock
from gradstudy.storage.sqlite_queries import run_on_sqlite


def run_query(db: Database, sql: str, *, limit_seconds: float | None = None) -> AbstractContextManager[Answer]:
    """Run one statement that only reads.

    The answer is open inside a ``with``: ``with run_query(db, sql) as answer: ...``.

    Args:
        db: the database; its own connections are not used.
        sql: one statement.
        limit_seconds: stop it, also while rows are being fetched, after the database has worked so long.

    Raises:
        WriteRefusedError: it would have changed something; everything is as before.
        QueryTimeoutError: it took too long.
        DamagedError: the SQLite file is broken.
        QueryError: it is no statement that gives rows; the sentence is the database's.
    """
    if not _is_text(sql):
        raise QueryError("the statement is not text in UTF-8")
    run = {"sqlite": run_on_sqlite, "postgresql": run_on_postgresql}.get(db.engine.dialect.name, run_on_mysql)
    return run(db, sql, QueryClock(limit_seconds))


def _is_text(sql: str) -> bool:
    """Whether a database can read it: a command line may hold bytes of any kind."""
    try:
        return b"\0" not in sql.encode()
    except UnicodeEncodeError:
        return False
