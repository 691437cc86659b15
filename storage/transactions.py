"""Transactions that only read, and transactions that write.

On SQLite a writing transaction takes the write lock at its start (``BEGIN IMMEDIATE``): one that starts by
reading and writes later cannot wait for the lock, it fails at once when another has written in between.

One that only reads sees the state that its first statement saw. SQLite's does so by itself (``BEGIN DEFERRED``),
MySQL's by a setting of its connections (``storage.mysql``). PostgreSQL would let each statement see what was committed
last, and is asked for ``REPEATABLE READ``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from gradstudy.storage.errors import UnavailableError
from gradstudy.storage.urls import display, without_password

READS_ONLY = "gradstudy_reads_only"
"""The execution option that marks a transaction as reading only."""


def reading_options(engine: Engine) -> dict[str, Any]:
    """The execution options of a transaction that only reads, for one connection or a whole engine."""
    options: dict[str, Any] = {READS_ONLY: True}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    return options


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that takes no write lock and sees one state of the database.

    Raises:
        UnavailableError: the database does not answer.
    """
    with _answering(engine), engine.connect() as connection:
        yield connection.execution_options(**reading_options(engine))


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that is committed at the end, or undone by an exception.

    Raises:
        UnavailableError: the database does not answer, stayed locked, or is full.
    """
    with _answering(engine), engine.begin() as connection:
        yield connection


@contextmanager
def _answering(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (OperationalError, InternalError) as error:
        said = without_password(one_line(error), engine.url)
        raise UnavailableError(f"{display(engine.url)} cannot be used: {said}") from error


def one_line(error: DBAPIError) -> str:
    """What the driver said, without the statement and its values."""
    return " ".join(str(error.orig).split()).rstrip(".")
