"""The first bytes of an SQLite file, read without undoing the locks of this process.

A process that closes any descriptor of a file loses all its POSIX locks on it, those of SQLite's connections too
(https://sqlite.org/howtocorrupt.html, section 2.2). Another process would then take itself for the last one that has
the file open, and delete the write-ahead log under them. So descriptors stay open as long as the file is in use.
"""

import os
import threading
from collections import Counter
from pathlib import Path

_users: Counter[Path] = Counter()
_kept: dict[Path, dict[tuple[int, int], int]] = {}
_lock = threading.Lock()


def use(path: Path) -> Path:
    """Say that this process will have connections to a file, until it says ``leave`` of the path that is returned."""
    with _lock:
        _users[path.resolve()] += 1
    return path.resolve()


def leave(path: Path) -> None:
    """Say that the connections of one ``use`` are closed."""
    with _lock:
        _users[path] -= 1
        _close_unused(path)


def first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a file, fewer of one that is shorter.

    Raises:
        OSError: it cannot be read.
    """
    with _lock:
        found = path.stat()
        kept, key = _kept.setdefault(path.resolve(), {}), (found.st_dev, found.st_ino)
        try:
            if key not in kept:
                kept[key] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(kept[key], count, 0)
        finally:
            _close_unused(path.resolve())


def _close_unused(path: Path) -> None:
    if _users[path] == 0:
        del _users[path]
        for descriptor in _kept.pop(path, {}).values():
            os.close(descriptor)
