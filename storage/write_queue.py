"""Whose turn it is to write to an SQLite file: the processes of a machine write in the order in which they came.

SQLite itself lets those who wait sleep and try again. With many of them the file lies idle between two tries, and one
that is unlucky is overtaken again and again: with 64 workers, some wait for more than a minute. The kernel keeps a
queue for a lock on a file (``flock``), and wakes the next one at once.
"""

import fcntl
import os
import sqlite3
from contextlib import suppress
from functools import cached_property
from pathlib import Path

SUFFIX = "-turn"
"""Ends the name of the empty file that is locked, beside a database; it goes with the last process that writes."""


class QueuedConnection(sqlite3.Connection):
    """A connection whose writing transactions wait for their turn."""

    _turn: int | None = None
    _has_written = False

    def begin(self) -> None:
        """Begin a transaction that writes, when it is this connection's turn.

        Where no file can be made beside the database, SQLite's own waiting has to do.
        """
        try:
            with suppress(OSError):
                self._wait()
            self.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._end_turn()
            raise

    def _wait(self) -> None:
        self._has_written = True
        while not self._holds_the_file():
            self._end_turn()
            self._turn = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(self._turn, fcntl.LOCK_EX)

    def _holds_the_file(self) -> bool:
        """Whether what is locked is still the file of this name, which another process may have removed."""
        try:
            return self._turn is not None and os.path.samestat(os.fstat(self._turn), Path(self._file).stat())
        except FileNotFoundError:
            return False

    def commit(self) -> None:
        """Commit; it is the next one's turn."""
        super().commit()
        self._end_turn()

    def rollback(self) -> None:
        """Undo; it is the next one's turn."""
        try:
            super().rollback()
        finally:
            self._end_turn()

    def close(self) -> None:
        """Close, which undoes what was not committed; the file goes unless somebody else writes."""
        file = self._file if self._has_written else None
        try:
            super().close()
        finally:
            self._end_turn()
        if file is not None:
            _remove(file)

    @cached_property
    def _file(self) -> str:
        """What is locked: beside the database, wherever the process went since it was opened."""
        _, _, path = self.execute("PRAGMA database_list").fetchone()
        return f"{path}{SUFFIX}"

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            fcntl.flock(turn, fcntl.LOCK_UN)  # a forked process may hold the file, too
            os.close(turn)


def _remove(file: str) -> None:
    with suppress(OSError):
        turn = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(turn), Path(file).stat()):
                Path(file).unlink()
        finally:
            os.close(turn)
