"""A text file of any size, read once in blocks of lines."""

import hashlib
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gradstudy.models.tasks.errors import TaskError

BLOCK_BYTES = 1 << 22
"""How much is read at once, and the length at which a line is given up."""

_BEGINNINGS = (
    (b"\xff\xfe", "UTF-16 text: save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text: save it as UTF-8"),
    (b"\x1f\x8b", "compressed by gzip: unpack it first"),
    (b"BZh", "compressed by bzip2: unpack it first"),
    (b"\xfd7zXZ", "compressed by xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd: unpack it first"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet: save it as text"),
    (b"PAR1", "a Parquet file: save it as text"),
    (b"%PDF", "a PDF document: save it as text"),
)
"""What a file of another kind begins with, and what to do with it."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def file_digest(path: str) -> str:
    """A digest of a file's content, 16 hexadecimal digits; raises TaskError where it cannot be read."""
    hasher = _hasher()
    with _opened(path) as file:
        while block := _read(path, file):
            hasher.update(block)
    return hasher.hexdigest()


def _hasher() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=8)


def _read(path: str, file: BinaryIO) -> bytes:
    try:
        return file.read(BLOCK_BYTES)
    except OSError as error:
        raise TaskError(f"{path} cannot be read: {error.strerror}") from None


class TextFile:
    """The lines of a file in UTF-8, with or without a byte order mark; lines end with LF or CRLF.

    Attributes:
        path: where it lies.
        digest: of its content, as of ``file_digest``, once every block was read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.digest: str | None = None

    def blocks(self) -> Iterator[list[str]]:
        """The lines without their ends, many at once.

        Raises:
            TaskError: there is no such file, it cannot be read, or it is not text; names line and byte.
        """
        hasher, line, offset, rest = _hasher(), 1, 0, b""
        with _opened(self.path) as file:
            while block := _read(self.path, file):
                hasher.update(block)
                if offset == 0 and not rest:
                    block = self._after_beginning(block)
                    offset = file.tell() - len(block)
                block = rest + block
                cut = block.rfind(b"\n") + 1
                if cut:
                    yield self._lines(block[:cut], line, offset)
                line += block.count(b"\n", 0, cut)
                offset += cut
                rest = block[cut:]
                if len(rest) > BLOCK_BYTES:
                    raise self.error(line, f"it is longer than {BLOCK_BYTES / 2**20:.0f} MiB: is this a text file?")
        if line == 1 and not rest:
            raise TaskError(f"{self.path} is empty")
        if rest:
            yield self._lines(rest, line, offset)
        self.digest = hasher.hexdigest()

    def error(self, line: int, what: str) -> TaskError:
        """What is wrong with a line."""
        return TaskError(f"{self.path}, line {line}: {what}")

    def _after_beginning(self, block: bytes) -> bytes:
        """The file's first block without its byte order mark."""
        for beginning, what in _BEGINNINGS:
            if block.startswith(beginning):
                raise TaskError(f"{self.path} is {what}")
        return block.removeprefix(_BYTE_ORDER_MARK)

    def _lines(self, block: bytes, line: int, offset: int) -> list[str]:
        """The lines of a block that begins with this line at this byte."""
        zero = block.find(b"\0")
        if zero >= 0:
            number = line + block.count(b"\n", 0, zero)
            raise self.error(number, f"byte {offset + zero} is NUL: the file is not text, or UTF-16 without its mark")
        try:
            text = block.decode()
        except UnicodeDecodeError as error:
            number = line + block.count(b"\n", 0, error.start)
            what = f"byte {offset + error.start} is 0x{block[error.start]:02x}, which is not UTF-8"
            raise self.error(number, f"{what}: save the file as UTF-8") from None
        text = text.replace("\r\n", "\n")
        if "\r" in text:
            number = line + text.count("\n", 0, text.find("\r"))
            raise self.error(number, "it has a carriage return inside: lines must end with LF or CRLF")
        return text.removesuffix("\n").split("\n")


def _opened(path: str) -> BinaryIO:
    """The file, open to be read."""
    try:
        place = Path(path)
        mode = place.stat().st_mode
        if not stat.S_ISREG(mode):
            raise TaskError(f"{path} is {'a directory' if stat.S_ISDIR(mode) else 'no regular file'}, not a text file")
        return place.open("rb")
    except FileNotFoundError:
        raise TaskError(
            f"there is no file {path} on {socket.gethostname()}: every machine that works on the study needs it there"
        ) from None
    except OSError as error:
        raise TaskError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # a name that no file can have
        if isinstance(error, TaskError):
            raise
        raise TaskError(f"{path!r} cannot be read: {error}") from None
