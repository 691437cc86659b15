"""Rows of a query as a Parquet file, with memory for one group of them."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from gradstudy.scripts.errors import UsageError, require_extra
from gradstudy.scripts.output.distinct_names import distinct_names

if TYPE_CHECKING:
    import pyarrow as pa

Chunks = Iterable[Sequence[Sequence[Any]]]
GROUP = 100_000
"""Rows in a group of the file: readers take and skip whole groups."""


def check_parquet(output: Path | None) -> None:
    """Refuse to write Parquet where it cannot be: without pyarrow, or to standard output; raises UsageError."""
    require_extra("parquet", "--format parquet", "pyarrow")
    if output is None:
        raise UsageError("--format parquet needs --output FILE")


def write_parquet(columns: list[str], chunks: Chunks, file: BinaryIO) -> None:
    """Write a Parquet file; what cannot be of one type in a column is text.

    The types are known only when the last row was seen (SQLite's columns have none, and a column may begin with NULL),
    so that the rows wait in a temporary file.
    """
    import pyarrow as pa
    from pyarrow import parquet

    names = distinct_names(columns)
    types: list[pa.DataType] = [pa.null()] * len(columns)
    with tempfile.TemporaryFile() as spool:
        for rows in chunks:
            arrays = [_array(values) for values in zip(*rows, strict=True)]
            types = [_common(kind, array.type) for kind, array in zip(types, arrays, strict=True)]
            batch = pa.record_batch(arrays, names=names)
            with pa.ipc.new_stream(spool, batch.schema) as writer:
                writer.write_batch(batch)
        spool.flush()
        schema = pa.schema(list(zip(names, types, strict=True)))
        with parquet.ParquetWriter(file, schema) as writer:
            for group in _groups(spool, schema):
                writer.write_table(group)


def _groups(spool: IO[bytes], schema: "pa.Schema") -> "Iterator[pa.Table]":
    """The rows of the temporary file again, many at a time and with their common types."""
    import pyarrow as pa

    end = spool.tell()
    spool.seek(0)
    waiting: list[pa.RecordBatch] = []
    while spool.tell() < end:
        with pa.ipc.open_stream(spool) as reader:
            for batch in reader:
                arrays = [_cast(array, field.type) for array, field in zip(batch.columns, schema, strict=True)]
                waiting.append(pa.record_batch(arrays, schema=schema))
        if sum(batch.num_rows for batch in waiting) >= GROUP:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _array(values: Sequence[Any]) -> "pa.Array[Any]":
    import pyarrow as pa

    plain = [_plain(value) for value in values]
    try:
        return pa.array(plain)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if value is None else str(value) for value in plain], pa.string())


def _plain(value: Any) -> Any:
    """A value of a type that all chunks have in common: a decimal's digits differ, an object's keys too."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (dict, list)):
        from json import dumps

        return dumps(value)
    return value


def _common(first: "pa.DataType", second: "pa.DataType") -> "pa.DataType":
    import pyarrow as pa

    if second in (first, pa.null()):
        return first
    if first == pa.null():
        return second
    numbers = (pa.int64(), pa.float64())
    return pa.float64() if first in numbers and second in numbers else pa.string()


def _cast(array: "pa.Array[Any]", kind: "pa.DataType") -> "pa.Array[Any]":
    import pyarrow as pa

    if kind == pa.string() and array.type != kind:
        return pa.array([None if value is None else str(value) for value in array.to_pylist()], kind)
    # A whole number above 2^53 loses digits as a float, as it does in the database.
    return array.cast(kind, safe=False)
