"""Telling a damaged SQLite file, which fails wherever it happens to be read, from a defect of gradstudy's."""

import sqlite3
from contextlib import closing
from pathlib import Path

from gradstudy.storage.errors import DamagedError
from gradstudy.storage.sqlite import connect_untouched

SIGNS = frozenset({"DBAPIError", "DatabaseError", "StorageInternalError", "UnicodeDecodeError", "JSONDecodeError"})
"""What SQLAlchemy, sqlite3, pandas, Optuna and Python raise when they read nonsense: their names, so that none of them
is imported for it."""


def refuse_damage(path: Path | None, error: BaseException | None) -> None:
    """Look for damage in a file when there are signs of it.

    Args:
        path: None for a server.
        error: what was raised while the file was in use.

    Raises:
        DamagedError: in the place of the error, where SQLite finds the file broken.
    """
    if path is None or not SIGNS & {kind.__name__ for kind in type(error).__mro__}:
        return
    found = _damage(path)
    if found is not None:
        raise DamagedError(
            f"{path} is damaged ({found}); use a copy of it from before, or save what can be read: "
            "sqlite3 FILE .recover | sqlite3 NEW"
        ) from error


def _damage(path: Path) -> str | None:
    """The first fault that SQLite finds, None for a file in order."""
    try:
        with closing(connect_untouched(path)) as connection:
            [(first,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return " ".join(str(error).split())
    return None if first == "ok" else " ".join(str(first).split())
