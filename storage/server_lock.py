"""A lock on a database server: one process at a time makes or upgrades the tables of a database."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from sqlalchemy import Connection, Engine, func, select

from gradstudy.storage.errors import UnavailableError
from gradstudy.storage.transactions import reading, writing
from gradstudy.storage.urls import display

SECONDS_BETWEEN_TRIES = 0.1

KEY = 5_577_006_791_947_779_410
"""PostgreSQL's advisory locks are numbers, and each database's own; this one was drawn by chance."""

WAIT_SECONDS = 600
"""Making the tables takes a second; upgrading large ones takes minutes."""


@contextmanager
def server_lock(engine: Engine) -> Iterator[None]:
    """Wait for the lock and hold it; a process that dies loses it with its connection.

    Raises:
        UnavailableError: the database does not answer, or another process holds the lock for ten minutes.
    """
    if engine.dialect.name == "postgresql":
        with _transaction_lock(engine):
            yield
        return
    with reading(engine) as connection:
        held = connection.execution_options(isolation_level="AUTOCOMMIT")
        _get_lock(held)
        try:
            yield
        finally:
            held.detach()  # closing the connection releases the lock, whatever has happened meanwhile


@contextmanager
def _transaction_lock(engine: Engine) -> Iterator[None]:
    """PostgreSQL's lock, held by a transaction: behind PgBouncer a session is nobody's own.

    Who waits asks again and again, and holds no session meanwhile that the others need.
    """
    last_try = time.monotonic() + WAIT_SECONDS
    while True:
        with writing(engine) as connection:
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            if connection.scalar(select(func.pg_try_advisory_xact_lock(KEY))):
                yield
                return
        if time.monotonic() > last_try:
            raise UnavailableError(f"another process has been making tables in {display(engine.url)} for long")
        time.sleep(SECONDS_BETWEEN_TRIES)


def _get_lock(connection: Connection) -> None:
    # MySQL's locks are the whole server's; their names have 64 characters at most.
    database = sha256((connection.engine.url.database or "").encode()).hexdigest()[:32]
    if not connection.scalar(select(func.get_lock(f"gradstudy_{database}", WAIT_SECONDS))):
        raise UnavailableError(f"another process has been making tables in {display(connection.engine.url)} for long")
