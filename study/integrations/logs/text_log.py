"""Text in which a loss stands somewhere: what training programs, progress bars and trainers print."""

import re
from collections.abc import Iterator
from pathlib import Path

from gradstudy.study.integrations.logs.entry import NOT_FINITE, Entry, Wanted
from gradstudy.study.integrations.logs.text_file import lines, opened_text

NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?(?![\w%]|\.\d)|[-+]?(?:nan|inf(?:inity)?)\b"
PAIR = re.compile(
    r"""(?<![\w./-])
    (?P<key> (?:(?:train(?:ing)?|val(?:id(?:ation)?)?|eval(?:uation)?|test|dev|learning|grad(?:ient)?)[ ])?
             [a-z_][\w/.-]* )
    (?:['"]|\[(?=[a-z]))?  \s*[:=]*\s*  [\[(]?\s*  ['"]?
    (?P<number>"""
    + NUMBER
    + ")",
    re.IGNORECASE | re.VERBOSE,
)
"""A word or two, and a number: ``loss 3.2``, ``train loss: 3.2``, ``'loss': 3.2``, ``Epoch [3/10]``."""
BATCH = re.compile(r"\[\s*(\d+)\s*/\s*\d+\s*\]|\[\s*(\d+)\s*/\s*\d+\s*\(")
"""``[100/5005]``, a number without a word."""
VALIDATION = re.compile(r"\b(?:val|valid|validation|eval|evaluation|test|dev)\b", re.IGNORECASE)
TRAINING = re.compile(r"\b(?:train|training)\b", re.IGNORECASE)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x08]")
"""Colours and movements of a terminal."""


def read_text_log(path: Path, wanted: Wanted = None) -> Iterator[Entry]:
    """The lines that hold a word and a number, each as an entry."""
    with opened_text(path) as file:
        for line in lines(file):
            if values := line_values(line):
                yield Entry("", values if wanted is None else {key: values[key] for key in values if key in wanted})


def line_values(line: str) -> dict[str, float]:
    """The numbers of a line by the words before them, the first of each word.

    A loss without another word is one of validation where the line speaks of validation and not of training.
    """
    text = ESCAPES.sub("", line) if "\x1b" in line or "\x08" in line else line
    values: dict[str, float] = {}
    for found in PAIR.finditer(text):
        key = found["key"].replace(" ", "_").rstrip(".-")
        values.setdefault(key, _number(found["number"]))
    if values and (batch := BATCH.search(text)):
        values.setdefault("batch", float(batch[1] or batch[2]))
    if any(key.casefold() == "loss" for key in values) and VALIDATION.search(text) and not TRAINING.search(text):
        values = {f"val_{key.casefold()}" if key.casefold() == "loss" else key: each for key, each in values.items()}
    return values


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return NOT_FINITE[text.casefold()]
