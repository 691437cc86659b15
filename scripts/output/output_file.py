"""What a verb writes: to standard output, or to a file that is there when it is complete."""

import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gradstudy.scripts.errors import UsageError

NEW_FILE = 0o666
"""The mode of a new file, of which the system takes what its user does not want to give."""


OF_THE_FILE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EISDIR})
"""What goes wrong while a file is written."""


@contextmanager
def opened(path: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that takes its name at the end; what is cut short leaves nothing behind.

    A file that is there keeps its mode, and a link stays one: the file that it leads to gets the new contents. What is
    no file, such as a pipe or ``/dev/null``, is written to as it is.

    Raises:
        UsageError: the file cannot be written, or not to its end.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    with ExitStack() as stack:
        try:
            target = path.resolve()
            mode = _mode(target)
            if mode is None or stat.S_ISREG(mode):
                file = stack.enter_context(_complete_file(target, mode))
            else:
                file = stack.enter_context(target.open("wb"))
        except (OSError, ValueError, RuntimeError) as error:
            raise _refused(path, error) from None
        try:
            yield file
            stack.close()
        except OSError as error:
            # What is written may come from elsewhere: an error of its connection is not this file's.
            if error.errno not in OF_THE_FILE:
                raise
            with suppress(OSError):
                stack.close()  # what waits to be written fails again
            raise _refused(path, error) from None


@contextmanager
def _complete_file(target: Path, mode: int | None) -> Iterator[BinaryIO]:
    """A file with a name that nobody can have put there before, until it is complete."""
    part = target.with_name(f".gradstudy-{secrets.token_hex(8)}.part")
    try:
        with open(part, "xb", opener=_new) as file:
            yield file
            if mode is not None:
                os.fchmod(file.fileno(), stat.S_IMODE(mode))
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink()


def _new(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, NEW_FILE)


def _mode(path: Path) -> int | None:
    """The kind and the mode of a file, None where there is none."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _refused(path: Path, error: Exception) -> UsageError:
    reason = error.strerror if isinstance(error, OSError) else error
    return UsageError(f"--output takes a file that can be written, but {path} cannot: {reason}")
