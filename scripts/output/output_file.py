"""A file that is there when it is complete."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gradstudy.scripts.errors import UsageError


@contextmanager
def opened(path: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that takes its name at the end; what is cut short leaves nothing behind.

    Raises:
        UsageError: the file cannot be written.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        if error.filename not in {os.fspath(part), os.fspath(path)}:
            raise
        raise UsageError(f"--output takes a file that can be written, but {path} cannot: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink()
