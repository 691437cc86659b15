"""How a file of pairs is written, recognised from its first lines, and what would make one readable that is not."""

import csv
import glob
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gradstudy.models.tasks.files.separator import SEPARATORS, split_rows

TAB, LEXICON, BARS = "tab", "lexicon", "bars"
CSV_FORMATS = ("comma", "semicolon", "pipe")

BARS_SIGN = " ||| "

LOOKED_AT = 200
"""Lines that the format rests on."""


def format_of(head: Sequence[str]) -> str:
    """The format of a file that begins with these lines; that with tabs where no other fits."""
    lines = [line for line in head[: 2 * LOOKED_AT] if line.strip() and not line.startswith("#")][:LOOKED_AT]
    if not lines or 2 * sum("\t" in line for line in lines) >= len(lines):
        return "tab"
    if all(BARS_SIGN in line for line in lines):
        return BARS
    for name in CSV_FORMATS:
        widths = Counter(len(row) for _, row in some_rows(lines, SEPARATORS[name]))
        if widths and (most := widths.most_common(1)[0])[0] > 1 and most[1] >= 0.95 * widths.total() > 1:
            return name
    return "tab"


def some_rows(lines: Sequence[str], separator: str) -> list[tuple[int, list[str]]]:
    """The rows of some lines, up to one that is no CSV."""
    rows = []
    try:
        for number, row in split_rows(lines[:LOOKED_AT], separator):
            if any(cell.strip() for cell in row):
                rows.append((number, row))
    except csv.Error:
        return rows
    return rows


def hint(line: str, path: str) -> str:
    """What would make a file without tabs readable."""
    if line.lstrip().startswith(("{", "[", "<")):
        return ": JSON and XML are not read; write each pair as source, tab, target"
    place = Path(path)
    others = sorted(each.name for each in place.parent.glob(f"{glob.escape(place.stem)}.*") if each.name != place.name)
    if len(others) == 1:
        return f": where the targets are the lines of {others[0]}, give the task pairs:{place.name},{others[0]}"
    if "  " in line:
        return ": a word and its symbols with blanks between are read with --task-option format=lexicon"
    return ": give two files as pairs:SOURCES,TARGETS, or a lexicon with --task-option format=lexicon"
