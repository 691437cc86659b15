"""A lock on a database server: one process at a time makes or upgrades the tables of a database."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from sqlalchemy import Connection, Engine, func, select

from gradstudy.storage.errors import UnavailableError
from gradstudy.storage.transactions import reading
from gradstudy.storage.urls import display

KEY = 5_577_006_791_947_779_410
"""PostgreSQL's advisory locks are numbers, and each database's own; this one was drawn by chance."""

WAIT_SECONDS = 600
"""MySQL wants a limit. Making the tables takes a second; upgrading large ones takes minutes."""


@contextmanager
def server_lock(engine: Engine) -> Iterator[None]:
    """Wait for the lock and hold it; a process that dies loses it with its connection.

    Raises:
        UnavailableError: the database does not answer, or another process holds the lock for ten minutes.
    """
    with reading(engine) as connection:
        held = connection.execution_options(isolation_level="AUTOCOMMIT")
        if engine.dialect.name == "postgresql":
            held.execute(select(func.pg_advisory_lock(KEY)))
        else:
            _get_lock(held)
        try:
            yield
        finally:
            held.detach()  # closing the connection releases the lock, whatever has happened meanwhile


def _get_lock(connection: Connection) -> None:
    # MySQL's locks are the whole server's; their names have 64 characters at most.
    database = sha256((connection.engine.url.database or "").encode()).hexdigest()[:32]
    if not connection.scalar(select(func.get_lock(f"gradstudy_{database}", WAIT_SECONDS))):
        raise UnavailableError(f"another process has been making tables in {display(connection.engine.url)} for long")
