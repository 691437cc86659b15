"""Markdown made of people's text: whatever a path or a value contains, it is shown as it was given."""

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(
    r"""
    [\\`*<|$~]             # code, emphasis, HTML, cells of a table, formulas, what is crossed out
    | \](?=[(\[:])         # links
    | \[(?=\^)             # footnotes
    | (?<![^\W_])_ | _(?![^\W_])  # emphasis; within a word an underscore is itself
    | &(?=\#?\w+;)         # characters by name
    | ^(?: [>=] | \#(?=\#*(?:\s|$)) | [+-](?=\s|$) | -(?=-+\s*$) | \[(?=[ xX]\]) )  # headings, lists, boxes, rules
    """,
    re.VERBOSE,
)


_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")
"""The beginning of an item of a numbered list."""


def plain(text: str) -> str:
    """A text in which nothing is markup, in one line."""
    escaped = _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))
    return _NUMBERED.sub(r"\1\\\2", escaped)


def code(text: str) -> str:
    """A text in the type of code, between more backticks than it has in a row."""
    mark = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{mark}{text}{mark}" if len(mark) == 1 else f"{mark} {text} {mark}"


def bullets(lines: Iterable[str]) -> str:
    """A list of plain texts."""
    return "\n".join(f"- {plain(line)}" for line in lines)


def table(headings: Sequence[str], numeric: Sequence[bool], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain texts.

    Args:
        headings: of the columns.
        numeric: which of the columns hold numbers, and stand on the right.
        rows: the cells.
    """
    rule = ["---:" if right else "---" for right in numeric]
    cells = [[plain(text) for text in row] for row in (headings, *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:]))
