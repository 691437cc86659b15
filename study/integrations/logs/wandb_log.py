"""W&B's own file, ``run-ID.wandb``: what a run, offline or not, has logged.

The file is a log of LevelDB: blocks of 32 KiB with records, of which long ones are in pieces; each record is a message.
"""

import json
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from gradstudy.study.integrations.logs.entry import Entry, Wanted, number
from gradstudy.study.integrations.logs.text_file import opened_bytes

MARK = b":W&B"
FILE_HEADER = 7
BLOCK = 1 << 15
HEADER = struct.Struct("<4xHB")
"""Checksum, length, kind of a piece."""
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
LONGEST = 1 << 24
STEP = "_step"


@cache
def record_class() -> Any:
    """The message of a record."""
    from gradstudy.study.integrations.logs.messages import message_classes

    return message_classes(
        "gradstudy_wandb",
        {
            "Item": [(1, "key", "string"), (2, "nested_key", "string*"), (16, "value_json", "string")],
            "Step": [(1, "num", "int64")],
            "History": [(1, "item", "Item*"), (2, "step", "Step")],
            "Record": [(2, "history", "History")],
        },
    )["Record"]


def read_wandb_file(path: Path, wanted: Wanted = None) -> Iterator[Entry]:
    """What the run logged, step by step."""
    record = record_class()()
    with opened_bytes(path) as file:
        file.read(FILE_HEADER)
        for content in _records(file):
            record.Clear()
            try:
                record.MergeFromString(content)
            except Exception as error:  # of protobuf, whose kinds differ between its implementations
                if type(error).__name__ != "DecodeError":
                    raise
                continue
            if record.HasField("history"):
                yield Entry("", _values(record.history, wanted))


def _values(history: Any, wanted: Wanted) -> dict[str, float]:
    values: dict[str, float] = {}
    if history.HasField("step"):
        values[STEP] = float(history.step.num)
    for item in history.item:
        name = "/".join(item.nested_key) or item.key
        if wanted is None or name in wanted:
            try:
                value = number(json.loads(item.value_json))
            except ValueError:
                continue
            if value is not None:
                values[name] = value
    return values


def _records(file: BinaryIO) -> Iterator[bytes]:
    place, pieces = FILE_HEADER, b""
    while True:
        left = BLOCK - place % BLOCK
        if left < HEADER.size:
            file.read(left)
            place += left
            continue
        head = file.read(HEADER.size)
        if len(head) < HEADER.size:
            return
        length, kind = HEADER.unpack(head)
        if kind not in (FULL, FIRST, MIDDLE, LAST) or length > left - HEADER.size:
            # Damaged, or a rest of zeros: the next block begins anew.
            skipped = left - HEADER.size
            if len(file.read(skipped)) < skipped:
                return
            place, pieces = place + left, b""
            continue
        content = file.read(length)
        place += HEADER.size + length
        if len(content) < length:
            return
        if kind == FULL:
            yield content
        elif len(pieces) <= LONGEST:
            pieces = content if kind == FIRST else pieces + content
            if kind == LAST:
                yield pieces
