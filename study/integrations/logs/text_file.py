"""Text of a log as it lies on the disk: packed or not, in the usual encodings."""

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from gradstudy.study.errors import LogError

GZIP = b"\x1f\x8b"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
LONGEST_LINE = 1 << 20
"""Characters of a line that are read at once: a file without line ends must not fill the memory."""


@contextmanager
def opened_bytes(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked.

    Raises:
        LogError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            is_packed = file.read(2) == GZIP
        with cast("BinaryIO", gzip.open(path)) if is_packed else path.open("rb") as file:
            yield file
    except (OSError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise LogError(f"the log {path} cannot be read: {reason}") from None


@contextmanager
def opened_text(path: Path) -> Iterator[TextIO]:
    """The text of a file; what is no text in its encoding is shown as such."""
    with opened_bytes(path) as file:
        beginning = file.read(2)
        file.seek(0)
        encoding = "utf-16" if beginning in UTF16 else "utf-8-sig"
        yield io.TextIOWrapper(file, encoding=encoding, errors="backslashreplace", newline=None)


def lines(file: TextIO) -> Iterator[str]:
    """The lines of a text, those that are too long in pieces."""
    return iter(partial(file.readline, LONGEST_LINE), "")
