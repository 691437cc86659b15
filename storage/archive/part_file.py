"""A part of a study's steps as a Parquet file: rows of ``step_result``, by number and step."""

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradstudy.storage.errors import ArchiveError, ExtraMissingError

if TYPE_CHECKING:
    import pyarrow as pa

TYPES = {
    "study": "string", "number": "int64", "trial_id": "int64", "cell": "string", "strategy": "string",
    "threshold": "float64", "learning_rate": "float64", "outcome": "string", "step": "int64", "loss": "float64",
    "grad_norm": "float64", "applied_norm": "float64",
}  # fmt: skip
"""The columns of ``step_result`` in their order, and what Arrow calls their types."""
GROUP = 25_000
"""Rows in a group of the file: whoever wants few trials reads few groups."""


def require_pyarrow() -> None:
    """Make sure that Parquet can be read and written.

    Raises:
        ExtraMissingError: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise ExtraMissingError('archived steps need pyarrow; install it with: pip install "gradstudy[parquet]"')


def as_table(rows: Sequence[Sequence[Any]]) -> "pa.Table":
    """Rows of ``step_result``, at least one, with their types."""
    import pyarrow as pa

    columns = zip(TYPES.items(), zip(*rows, strict=True), strict=True)
    return pa.table({name: pa.array(values, kind) for (name, kind), values in columns})


def write_part(folder: Path, table: "pa.Table") -> str:
    """Write a part so that it is there whole, on the disk, and found equal when it is read again.

    Its name says its trials and what is in it, so that nothing else is ever replaced.

    Returns:
        The name of the file.

    Raises:
        ArchiveError: the file cannot be written, or does not hold what was written.
    """
    from pyarrow import parquet

    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part", delete=False) as file:
            parquet.write_table(table, file, row_group_size=GROUP, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        made = Path(file.name)
        try:
            if not parquet.read_table(made).equals(table):
                raise ArchiveError(f"what was written to {folder} is not what is read from it: the disk may be broken")
            first, last = table["number"][0].as_py(), table["number"][-1].as_py()
            digest = sha256(made.read_bytes()).hexdigest()[:12]
            name = f"trials-{first:07}-{last:07}-{digest}.parquet"
            made.chmod(0o644)
            made.replace(folder / name)
        except BaseException:
            with suppress(OSError):
                made.unlink()
            raise
        _sync(folder)
    except OSError as error:
        raise ArchiveError(f"steps cannot be written to {folder}: {error.strerror or error}") from error
    return name


def read_part(path: Path, study: str, numbers: Sequence[int] | None = None) -> "pa.Table":
    """The rows of a part, those of some trials or all.

    Raises:
        ArchiveError: the file is not there, or is none.
    """
    require_pyarrow()
    import pyarrow as pa
    from pyarrow import parquet

    filters = None if numbers is None else [("number", "in", list(numbers))]
    try:
        return parquet.ParquetFile(path).read() if filters is None else parquet.read_table(path, filters=filters)
    except (OSError, pa.ArrowException) as error:
        why = "is not there" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise ArchiveError(
            f"steps of study '{study}' were archived in {path}, which {why}; put the file back, or say where the "
            f"files are now: gradstudy archive {study} --output FOLDER"
        ) from error


def _sync(folder: Path) -> None:
    """Let the folder's new entry outlive a power cut, too."""
    with suppress(OSError):  # not every filesystem can
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
