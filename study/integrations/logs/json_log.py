"""JSON: an object a line, a list of objects, Hugging Face's trainer_state.json, or lists by name as Keras' history."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from gradstudy.study.errors import LogError
from gradstudy.study.integrations.logs.entry import Entry, Wanted, numbers
from gradstudy.study.integrations.logs.text_file import lines, opened_text

CHUNK = 1 << 16
"""Characters that are read at once."""
LONGEST_OBJECT = 1 << 24
"""Characters of one record, or of a file that is a single object."""
HISTORY = '"log_history"'
"""The key of the list in Hugging Face's file."""
SPACE = " \t\r\n,"


def read_json_lines(path: Path, wanted: Wanted = None) -> Iterator[Entry]:
    """The objects of a file, one a line; what stands between them, such as a warning, is passed over."""
    with opened_text(path) as file:
        for line in lines(file):
            if not (text := line.strip()).startswith("{"):
                continue
            try:
                record = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict):
                yield Entry("", numbers(record, wanted))


def read_json_file(path: Path, wanted: Wanted = None) -> Iterator[Entry]:
    """The records of one JSON text.

    Raises:
        LogError: it is neither a list of objects, nor holds one, nor lists of numbers by name.
    """
    with opened_text(path) as file:
        text, is_list = _to_first_record(file)
        if is_list:
            for record in _listed(file, text, path):
                yield Entry("", numbers(record, wanted))
            return
        rest = file.read(LONGEST_OBJECT + 1)
    if len(text) + len(rest) > LONGEST_OBJECT:
        raise LogError(
            f"the log {path} is one JSON object of more than {LONGEST_OBJECT >> 20} MiB: write a line a step"
        )
    try:
        record = json.loads(text + rest)
    except (ValueError, RecursionError) as error:
        raise LogError(f"the log {path} is not JSON: {error}") from None
    yield from _by_name(record, wanted)


def _to_first_record(file: TextIO) -> tuple[str, bool]:
    """The text from the first record of a list on, if there is one; else the beginning of the text."""
    text = file.read(CHUNK)
    if text.lstrip().startswith("["):
        return text.lstrip()[1:], True
    kept = text
    while HISTORY not in text:
        more = file.read(CHUNK)
        if not more or len(kept) > LONGEST_OBJECT:
            return kept, False
        text, kept = text[-len(HISTORY) :] + more, kept + more
    after = text.partition(HISTORY)[2]
    while "[" not in after and (more := file.read(CHUNK)):
        after += more
    return after.partition("[")[2], True


def _listed(file: TextIO, text: str, path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a list whose beginning was read; a list that breaks off ends there."""
    decoder, place = json.JSONDecoder(), 0
    while True:
        while place < len(text) and text[place] in SPACE:
            place += 1
        if place < len(text) and text[place] == "]":
            return
        try:
            record, end = decoder.raw_decode(text, place)
            if end == len(text):  # a number may go on
                raise ValueError
        except (ValueError, RecursionError):
            more = file.read(CHUNK)
            if len(text) - place > LONGEST_OBJECT:
                raise LogError(f"the log {path} is not JSON at {text[place : place + 40]!r}") from None
            if not more:
                return
            text, place = text[place:] + more, 0
            continue
        place = end
        if isinstance(record, dict):
            yield record


def _by_name(record: Any, wanted: Wanted) -> Iterator[Entry]:
    """Lists by name become records, place by place; an object of numbers is one record."""
    if not isinstance(record, Mapping):
        return
    if not any(isinstance(value, list) for value in record.values()) and len(record) == 1:
        record = next(iter(record.values()))  # {"history": {"loss": [...]}}
    if not isinstance(record, Mapping):
        return
    columns = {str(name): _column(value) for name, value in record.items()}
    columns = {name: values for name, values in columns.items() if values}
    longest = max(map(len, columns.values()), default=0)
    for place in range(longest):
        yield Entry(
            "", numbers({name: values[place] for name, values in columns.items() if place < len(values)}, wanted)
        )
    if not longest and (values := numbers(record, wanted)):
        yield Entry("", values)


def _column(value: Any) -> list[Any]:
    """The values of a column: a list, or as pandas writes one, by the number of the row."""
    if isinstance(value, Mapping) and all(str(key).isdigit() for key in value):
        return list(value.values())
    return value if isinstance(value, list) else []
