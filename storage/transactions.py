"""Transactions that only read, and transactions that write.

On SQLite a writing transaction takes the write lock at its start (``BEGIN IMMEDIATE``): one that starts by
reading and writes later cannot wait for the lock, it fails at once when another has written in between.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from gradstudy.storage.errors import UnavailableError
from gradstudy.storage.urls import display

READS_ONLY = "gradstudy_reads_only"
"""The execution option that marks a transaction as reading only."""


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that takes no write lock and sees one state of the database.

    Raises:
        UnavailableError: the database does not answer.
    """
    with _answering(engine), engine.connect() as connection:
        yield connection.execution_options(**{READS_ONLY: True})


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
        raise UnavailableError(f"{display(engine.url)} cannot be used: {one_line(error)}") from error


def one_line(error: DBAPIError) -> str:
    """What the driver said, without the statement and its values."""
    return " ".join(str(error.orig).split()).rstrip(".")
