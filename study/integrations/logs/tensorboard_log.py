"""TensorBoard's event files: records of TensorFlow with scalars in them.

A record is its length (8 bytes), a checksum (4), the message, and a checksum (4). A file that is still written, or
whose writer was stopped, may end within a record.
"""

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from gradstudy.study.integrations.logs.entry import STEP, Entry, Wanted
from gradstudy.study.integrations.logs.text_file import opened_bytes

LENGTH = struct.Struct("<Q4x")
CHECKSUM = 4
LONGEST = 1 << 24
"""Bytes of a record that is read: those of images, graphs and sounds may be longer, and hold no scalars."""
FLOAT, DOUBLE = 1, 2
"""TensorFlow's numbers of the two kinds of tensor that a scalar may be."""


@cache
def event_class() -> Any:
    """The message of a record."""
    from gradstudy.study.integrations.logs.messages import message_classes

    return message_classes(
        "gradstudy_tensorboard",
        {
            "Tensor": [
                (1, "dtype", "int32"),
                (4, "content", "bytes"),
                (5, "floats", "float*"),
                (6, "doubles", "double*"),
            ],
            "Value": [(1, "tag", "string"), (2, "simple_value", "float"), (8, "tensor", "Tensor")],
            "Summary": [(1, "value", "Value*")],
            "Event": [(2, "step", "int64"), (5, "summary", "Summary")],
        },
    )["Event"]


def read_events(path: Path, wanted: Wanted = None) -> Iterator[Entry]:
    """The scalars of a file, each with its step."""
    event = event_class()()
    with opened_bytes(path) as file:
        for record in _records(file):
            event.Clear()
            try:
                event.MergeFromString(record)
            except Exception as error:  # of protobuf, whose kinds differ between its implementations
                if type(error).__name__ != "DecodeError":
                    raise
                return
            for value in event.summary.value:
                if wanted is None or value.tag in wanted:
                    number = _scalar(value)
                    if number is not None:
                        yield Entry("", {STEP: float(event.step), value.tag: number})


def _records(file: BinaryIO) -> Iterator[bytes]:
    while len(head := file.read(LENGTH.size)) == LENGTH.size:
        (length,) = LENGTH.unpack(head)
        if length > LONGEST:
            if length > 1 << 40:  # no length at all: the file is damaged from here on
                return
            file.seek(length + CHECKSUM, 1)
            continue
        record = file.read(length)
        if len(record) < length or len(file.read(CHECKSUM)) < CHECKSUM:
            return
        yield record


def _scalar(value: Any) -> float | None:
    """The number of a summary, as old and new writers store it; None for another kind of summary."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    tensor = value.tensor
    for stored in (tensor.floats, tensor.doubles):
        if len(stored) == 1:
            return float(stored[0])
    form = {FLOAT: "<f", DOUBLE: "<d"}.get(tensor.dtype)
    if form and len(tensor.content) == struct.calcsize(form):
        return float(struct.unpack(form, tensor.content)[0])
    return None
