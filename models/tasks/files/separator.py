"""Which sign stands between the cells of a table."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from gradstudy.models.tasks.files.spelling import COMMA, POINT, is_missing, is_number, is_number_with_unit

BLANKS = " "
"""Any number of blanks and tabs."""

NOTHING = "\x1f"
"""A sign that no text has: its lines are rows of one cell."""

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "blanks": BLANKS, "none": NOTHING}
"""What may stand between cells, by name."""

_LOOKED_AT = 200
"""Lines that the choice rests on."""


def name_of(separator: str) -> str:
    """The separator in a word."""
    return next(name for name, sign in SEPARATORS.items() if sign == separator)


def split_rows(lines: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, with the number of its last line among these, from 1; raises csv.Error."""
    # With their ends: between quotes, lines would run together to other numbers.
    ended = (f"{line}\n" for line in lines)
    if separator == BLANKS:
        ended = (" ".join(line.replace("\t", " ").split(" ")).strip() + "\n" for line in ended)
    reader = csv.reader(ended, delimiter=separator, skipinitialspace=True, strict=True)
    for row in reader:
        yield reader.line_num, row


def whole_rows(blocks: Iterable[list[str]]) -> Iterator[list[str]]:
    """The blocks of lines, put together where a quote is open at the end of one, but not for ever."""
    remaining = iter(blocks)
    for lines in remaining:
        if sum(line.count('"') for line in lines) % 2:
            lines = [*lines, *next(remaining, [])]
        yield lines


def separator_of(lines: Sequence[str]) -> str:
    """The separator that makes most lines rows of one width and most cells numbers."""
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    step = max(1, len(lines) // _LOOKED_AT)
    sample = lines[::step][:_LOOKED_AT]
    scores = {sign: _score(sample, sign) for sign in SEPARATORS.values() if sign != NOTHING}
    scores[NOTHING] = _alone(sample, scores[","] > 0)
    # Of equals the comma comes last: it may be the sign of decimals, which splits each line as evenly.
    return max(scores, key=lambda sign: (round(scores[sign], 9), sign != ","))


def _score(lines: Sequence[str], separator: str) -> float:
    """The share of lines that are rows of the most frequent width, times the share of numbers among their cells."""
    try:
        rows = [row for _, row in split_rows(lines, separator) if any(cell.strip() for cell in row)]
    except csv.Error:
        return 0.0
    widths = Counter(len(row) for row in rows if len(row) > 1)
    if not widths:
        return 0.0
    width = max(widths, key=lambda each: (widths[each], each))
    below = rows[len(rows) // 2 :]  # where no names are
    cells = [cell for row in below if len(row) == width for cell in row if cell.strip()]
    numbers = sum(map(_is_of_a_column, cells))
    return widths[width] / len(rows) * (0.01 + numbers / max(1, len(cells)))


def _is_of_a_column(cell: str) -> bool:
    """Whether a cell holds what a column of numbers does: a number, or the word for one that is missing."""
    return is_missing(cell) or any(is_number_with_unit(cell, sign) for sign in (POINT, COMMA))


def _alone(lines: Sequence[str], has_commas: bool) -> float:
    """As ``_score``, of a table of one column: one whose numbers have a decimal comma has none in its header."""
    lines = [line.strip().strip('"') for line in lines]
    numbers = [is_number(line, POINT) or is_number(line, COMMA) for line in lines]
    if True not in numbers:
        return 0.0
    first = numbers.index(True)
    if has_commas and (first == 0 or "," in lines[first - 1]):
        numbers = [is_number(line, POINT) and "," not in line for line in lines]
    return 0.01 + sum(numbers) / len(lines)
