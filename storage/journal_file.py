"""Optuna's journal files, read without a lock and without a byte written.

Optuna's own class for them makes a file that is not there, and takes a lock for every change.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradstudy.storage.errors import ForeignDatabaseError, NotFoundError, UrlError, WriteRefusedError

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

PREFIX = "journal:///"
"""Begins the URL of a journal file: what follows is its path, as with ``sqlite:///``."""


def journal_path(url: str) -> Path | None:
    """The file of a journal's URL; None for another URL.

    Raises:
        UrlError: the path is missing.
    """
    if not url.startswith(PREFIX):
        return None
    if not (name := url.removeprefix(PREFIX)).strip() or not name.isprintable():
        raise UrlError(f"a journal file's URL is {PREFIX}FILE, and {PREFIX}/FILE from the root")
    return Path(name)


def open_journal(path: Path) -> "JournalStorage":
    """Read a journal file.

    Raises:
        NotFoundError: there is no such file.
        ForeignDatabaseError: it is not a journal of Optuna's.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import BaseJournalBackend

    class Backend(BaseJournalBackend):
        def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
            return (log for number, log in enumerate(_logs(path)) if number >= log_number_from)

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            raise WriteRefusedError(f"{path} is only read")

    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    try:
        return JournalStorage(Backend())
    except (KeyError, TypeError, AttributeError, AssertionError) as error:
        raise _not_a_journal(path) from error


def _logs(path: Path) -> Iterator[dict[str, Any]]:
    """The operations in a file, one a line; the last one may still be being written."""
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if not line.endswith(b"\n"):
                return
            try:
                log = json.loads(line)
            except ValueError as error:
                raise ForeignDatabaseError(
                    f"{path} is not a journal file of Optuna's: its line {number + 1} cannot be read"
                ) from error
            if not isinstance(log, dict) or "op_code" not in log:
                raise _not_a_journal(path)
            yield log


def _not_a_journal(path: Path) -> ForeignDatabaseError:
    return ForeignDatabaseError(f"{path} is not a journal file of Optuna's")
