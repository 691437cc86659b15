"""A text file of any size, read once in blocks of lines."""

import codecs
import hashlib
import io
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from gradstudy.models.tasks.errors import TaskError

BLOCK_BYTES = 1 << 22
"""How much is read at once, and the length at which a line is given up."""

LATIN_1 = "cp1252"
"""What text is read as that cannot be UTF-8: Latin-1 as Windows has it."""

_FOREIGN_SHARE = 0.3
"""Share of letters beyond ASCII from which a text that is not UTF-8 is no Latin-1 either."""

_BEGINNINGS = (
    (b"\x1f\x8b", "compressed by gzip: unpack it first"),
    (b"BZh", "compressed by bzip2: unpack it first"),
    (b"\xfd7zXZ", "compressed by xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd: unpack it first"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet: save it as text"),
    (b"PAR1", "a Parquet file: save it as text"),
    (b"%PDF", "a PDF document: save it as text"),
)
"""What a file of another kind begins with, and what to do with it."""

_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
"""Byte order marks, and the encoding that each says."""


def files_of(given: str) -> tuple[str, ...]:
    """The files that a task's name means: one, or the two sides of pairs with a comma between them."""
    parts = tuple(part.strip() for part in given.split(","))
    return parts if len(parts) == 2 and all(parts) and not os.path.lexists(given) else (given,)


def file_digest(given: str) -> str:
    """A digest of the content of ``files_of``, 16 hexadecimal digits; raises TaskError where one cannot be read."""
    return joined_digest([_digest(path) for path in files_of(given)])


def joined_digest(digests: Sequence[str]) -> str:
    """One digest of those of one or more files."""
    if len(digests) == 1:
        return digests[0]
    hasher = _hasher()
    hasher.update(" ".join(digests).encode())
    return hasher.hexdigest()


def _digest(path: str) -> str:
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
    """The lines of a text file; they end with LF, CRLF or CR.

    It is UTF-8, or what its byte order mark says. What cannot be UTF-8 is read as Latin-1 where it looks like that.

    Attributes:
        path: where it lies.
        encoding: of what was read so far.
        digest: of its content, as of ``file_digest``, once every block was read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.encoding = "utf-8"
        self.digest: str | None = None
        self._line = 1
        self._offset = 0
        self._only_ascii = True

    def blocks(self) -> Iterator[list[str]]:
        """The lines without their ends, many at once.

        Raises:
            TaskError: there is no such file, it cannot be read, or it is not text; names line and byte.
        """
        hasher, rest = _hasher(), ""
        with _opened(self.path) as file:
            block = _read(self.path, file)
            hasher.update(block)
            block = self._after_beginning(block)
            decoder = self._decoder()
            while block:
                following = _read(self.path, file)
                hasher.update(following)
                text, decoder = self._decoded(decoder, block, final=not following)
                block = following
                lines = f"{rest}{text}".split("\n")
                rest = lines.pop()
                if lines:
                    yield lines
                if len(rest) > BLOCK_BYTES:
                    what = f"it is longer than {BLOCK_BYTES / 2**20:.0f} MiB: is this a text file?"
                    raise self.error(self._line, what)
        if self._line == 1 and not rest:
            raise TaskError(f"{self.path} is empty")
        if rest:
            yield [rest]
        self.digest = hasher.hexdigest()

    def error(self, line: int, what: str) -> TaskError:
        """What is wrong with a line."""
        return TaskError(f"{self.path}, line {line}: {what}")

    def _after_beginning(self, block: bytes) -> bytes:
        """The file's first block without its byte order mark."""
        for beginning, what in _BEGINNINGS:
            if block.startswith(beginning):
                raise TaskError(f"{self.path} is {what}")
        for mark, encoding in _MARKS.items():
            if block.startswith(mark):
                self.encoding = encoding
                self._only_ascii = False  # the mark has said what it is
                self._offset = len(mark)
                return block[len(mark) :]
        return block

    def _decoder(self) -> io.IncrementalNewlineDecoder:
        return io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(self.encoding)(), translate=True)

    def _decoded(
        self, decoder: io.IncrementalNewlineDecoder, block: bytes, *, final: bool
    ) -> tuple[str, io.IncrementalNewlineDecoder]:
        """The text of a block, and the decoder of what follows: another one once the text proves to be Latin-1."""
        state = decoder.getstate()
        begun: bytes = state[0]
        try:
            text = decoder.decode(block, final)
        except UnicodeDecodeError as error:
            whole = begun + block
            cut_off = final and error.end >= len(whole) and error.reason == "unexpected end of data"
            if self.encoding == "utf-8" and self._only_ascii and not cut_off and _is_latin(whole):
                self.encoding = LATIN_1
                decoder = self._decoder()
                decoder.setstate((b"", state[1] & 1))  # whether a carriage return is waiting for its line feed
                text = decoder.decode(whole, final)
            else:
                raise self._not_decoded(error, whole, self._offset - len(begun)) from None
        if self._only_ascii and not text.isascii():
            self._only_ascii = False
        zero = text.find("\0")
        if zero >= 0:
            number = self._line + text.count("\n", 0, zero)
            byte = self._offset - len(begun) + block.find(0)
            raise self.error(number, f"byte {byte} is NUL: the file is not text, or UTF-16 without its mark")
        self._line += text.count("\n")
        self._offset += len(block)
        return text, decoder

    def _not_decoded(self, error: UnicodeDecodeError, whole: bytes, offset: int) -> TaskError:
        number = self._line + whole.count(b"\n", 0, error.start)
        named = "UTF-8" if self.encoding == "utf-8" else "UTF-16" if self.encoding.startswith("utf-16") else "Latin-1"
        what = f"byte {offset + error.start} is 0x{whole[error.start]:02x}, which is not {named}"
        return self.error(number, f"{what}: save the file as UTF-8")


def _is_latin(text: bytes) -> bool:
    """Whether bytes that are not UTF-8 look like a western text: most letters are those of ASCII."""
    try:
        letters = [letter for letter in text.decode(LATIN_1) if letter.isalpha()]
    except UnicodeDecodeError:
        return False
    foreign = sum(not letter.isascii() for letter in letters)
    return foreign <= max(1, _FOREIGN_SHARE * len(letters))


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
