"""The first bytes of an SQLite file, read without undoing the locks of this process.

A process that closes any descriptor of a file loses all its POSIX locks on it, those of SQLite's connections too
(https://sqlite.org/howtocorrupt.html, section 2.2). Another process would then take itself for the last one that has
the file open, and delete the write-ahead log under them. So descriptors stay open for a while.
"""

import os
import threading
from collections import OrderedDict
from pathlib import Path

MOST = 64
"""Descriptors that are kept; a process that uses as many other files afterwards is thought to have left a file."""

_kept: OrderedDict[tuple[int, int], int] = OrderedDict()
_lock = threading.Lock()


def first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a file, fewer of one that is shorter.

    Raises:
        OSError: it cannot be read.
    """
    with _lock:
        found = path.stat()
        key = found.st_dev, found.st_ino
        if key not in _kept:
            _kept[key] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        _kept.move_to_end(key)
        if len(_kept) > MOST:
            os.close(_kept.popitem(last=False)[1])
        return os.pread(_kept[key], count, 0)
