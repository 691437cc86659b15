"""What is particular to SQLite: how its connections behave, and what a file is before it is opened."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, event

from gradstudy.storage.errors import ForeignDatabaseError, UnwritableError
from gradstudy.storage.first_bytes import first_bytes
from gradstudy.storage.transactions import READS_ONLY
from gradstudy.storage.write_queue import QueuedConnection

BUSY_SECONDS = 60
"""How long a connection waits for the write lock. Transactions take milliseconds; many workers may queue."""

MAGIC = b"SQLite format 3\0"
"""The first bytes of every SQLite file that is not empty (https://sqlite.org/fileformat.html)."""
LOGGED_AT, LOGGED = 19, b"\2"
"""Where it says how it is read, and what is there when that is by a write-ahead log."""


def configure_sqlite(engine: Engine) -> None:
    """Make an engine's connections honour foreign keys, wait for locks and begin with the lock they need.

    Connections that are already open are closed, because they do not have these settings.
    """
    event.listen(engine, "do_connect", _queued)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    engine.dispose()


def _queued(dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> None:
    options["factory"] = QueuedConnection


def _on_connect(connection: sqlite3.Connection, record: Any) -> None:
    connection.isolation_level = None  # Python's own BEGIN would come too late and be DEFERRED
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA foreign_keys = ON")
    # With a write-ahead log this may lose the last moments at a power cut, and never the consistency.
    connection.execute("PRAGMA synchronous = NORMAL")


def _on_begin(connection: Connection) -> None:
    if connection.get_execution_options().get(READS_ONLY, False):
        connection.exec_driver_sql("BEGIN DEFERRED")
    else:
        queued = connection.connection.dbapi_connection
        assert isinstance(queued, QueuedConnection), "configure_sqlite made the engine's connections so"
        queued.begin()


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open a file so that SQLite itself refuses to change it."""
    return _connect(path, "mode=ro")


def _connect(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{how}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def connect_untouched(path: Path) -> sqlite3.Connection:
    """Open a file to read it so that neither the file nor its folder is changed.

    SQLite itself would put an index beside a write-ahead log, and both beside a file that had one, and leave them
    there: so a file without a log is read as one that nobody changes, and a log without its index as a copy.
    """
    log, index = path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")
    if _is_empty(log):
        logged = first_bytes(path, LOGGED_AT + 1)[LOGGED_AT:] == LOGGED
        return _connect(path, "mode=ro&immutable=1" if logged else "mode=ro")
    if not _is_empty(index):
        return _connect(path, "mode=ro")
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(_connect(_copied(path, log, Path(folder)), "mode=ro")) as copy,
    ):
        whole = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        copy.backup(whole)
    return whole


def _copied(path: Path, log: Path, folder: Path) -> Path:
    """A file and its log in another folder."""
    shutil.copyfile(log, folder / log.name)
    return Path(shutil.copyfile(path, folder / path.name))


def _is_empty(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def table_names(path: Path) -> set[str]:
    """The tables in a file, none where there is no file; the file is not changed.

    Raises:
        ForeignDatabaseError: it is not an SQLite file.
        UnwritableError: it cannot be opened.
    """
    try:
        if not path.exists():
            return set()
        if path.is_dir():
            raise ForeignDatabaseError(f"{path} is a folder, not an SQLite file")
        if not path.is_file():
            raise ForeignDatabaseError(f"{path} is a device, a pipe or a socket, not an SQLite file")
        if first_bytes(path, len(MAGIC)) not in {b"", MAGIC}:
            raise ForeignDatabaseError(f"{path} is not an SQLite file")
        with closing(connect_untouched(path)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    except sqlite3.OperationalError as error:
        raise UnwritableError(f"{path} cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        raise ForeignDatabaseError(f"{path} cannot be read as an SQLite file: {error}") from error
    except OSError as error:
        raise UnwritableError(f"{path} cannot be opened: {error.strerror}") from error
    return {name for (name,) in rows if not name.startswith("sqlite_")}


def check_readable(path: Path) -> None:
    """Try to read a file as later connections do.

    Raises:
        UnwritableError: in a folder that cannot be written, a write-ahead log cannot even be read.
    """
    try:
        with closing(connect_read_only(path)) as connection:
            connection.execute("SELECT name FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        raise UnwritableError(f"{path} cannot be opened: {error}") from error


def check_writable(path: Path) -> None:
    """Try to write to a file that has gradstudy's tables, without changing anything.

    Raises:
        UnwritableError: the file or its folder is read-only, or stayed locked.
    """
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
            connection.execute("DELETE FROM gradstudy_worker WHERE FALSE")
    except sqlite3.OperationalError as error:
        raise UnwritableError(f"{path} cannot be written: {error}") from error


@contextmanager
def creation_lock(path: Path) -> Iterator[None]:
    """Let one process at a time make the tables of a file; SQLite's own locking does it on every system.

    The lock file goes away: who comes later finds the tables made, or refuses what is there.

    Raises:
        UnwritableError: the lock or the file itself cannot be written.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        with closing(_hold(lock)):
            yield
    except ForeignDatabaseError:
        _remove(lock)
        raise
    except sqlite3.OperationalError as error:
        raise UnwritableError(f"{path} cannot be written: {error}") from error
    _remove(lock)


def _remove(lock: Path) -> None:
    with suppress(OSError):
        lock.unlink()


def _hold(lock: Path) -> sqlite3.Connection:
    while True:
        connection = sqlite3.connect(lock, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            connection.close()
            # A lock file that was removed while we waited shows as an I/O error; then there is a new one to try.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_IOERR:
                raise
        except sqlite3.DatabaseError as error:
            connection.close()
            raise UnwritableError(
                f"{lock} should be gradstudy's lock and holds something else; remove it when no process uses it"
            ) from error
        else:
            return connection


def use_write_ahead_log(path: Path) -> None:
    """Let readers and one writer work at the same time; the file remembers it."""
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
