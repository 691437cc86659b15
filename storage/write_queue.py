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

SUFFIX = "-turn"
"""Ends the name of the empty file beside a database that is locked; other programs' tools may remove it."""


class QueuedConnection(sqlite3.Connection):
    """A connection whose writing transactions wait for their turn."""

    _turn: int | None = None

    def begin(self) -> None:
        """Begin a transaction that writes, when it is this connection's turn.

        Where no file can be made beside the database, SQLite's own waiting has to do.
        """
        with suppress(OSError):
            self._turn = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if self._turn is not None:
                fcntl.flock(self._turn, fcntl.LOCK_EX)
            self.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._end_turn()
            raise

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
        """Close, which undoes what was not committed."""
        try:
            super().close()
        finally:
            self._end_turn()

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
