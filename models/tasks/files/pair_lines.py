"""The pairs of text in a file, or in two, as people keep them: with tabs, as CSV, as a lexicon, side by side."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.files.pair_format import (
    BARS,
    BARS_SIGN,
    CSV_FORMATS,
    LEXICON,
    LOOKED_AT,
    format_of,
    hint,
    some_rows,
)
from gradstudy.models.tasks.files.separator import SEPARATORS, name_of, split_rows, whole_rows
from gradstudy.models.tasks.files.text_file import LATIN_1, TextFile, files_of, joined_digest
from gradstudy.models.tasks.options import AUTO

_LINES_AT_ONCE = 10_000
_VARIANT = re.compile(r"\(\d+\)$")

Pair = tuple[int, str, str]
"""The line of a pair, its source and its target."""


@dataclass(frozen=True)
class PairReading:
    """What a user says of a file of pairs.

    Attributes:
        format: the name of what stands between source and target, ``lexicon`` or ``auto``; bars are three.
        columns: the two columns of source and target, by name or number; none for the first two.
        header: ``yes``, ``no``, or ``auto`` for that of CSV.
    """

    format: str = AUTO
    columns: tuple[str, ...] = ()
    header: str = AUTO


class PairLines:
    """Reads the pairs of a file.

    Attributes:
        lines: how many were read.
        skipped: lines without a pair, by reason.
        format: of the file, as in ``PairReading``, or ``two files``.
    """

    def __init__(self, path: str, said: PairReading) -> None:
        self.lines = 0
        self.skipped: Counter[str] = Counter()
        self.format = said.format
        self._said = said
        self._files = [TextFile(each) for each in files_of(path)]
        self._words: list[str] = []
        self._hazards: list[str] = []
        self._further = 0
        if len(self._files) == 2:
            self.format = "two files"
        if self.format in (LEXICON, "two files"):
            self._check_unused()

    @property
    def digest(self) -> str:
        """Of what was read, as of ``file_digest``."""
        return joined_digest([str(file.digest) for file in self._files])

    @property
    def reading(self) -> tuple[str, ...]:
        """How the file was read, and what of it needs attention, a line each."""
        words = list(self._words)
        if self._further:
            words.append(f"further columns of {self._further:,} lines left out")
        words += ["text in Latin-1"] if any(file.encoding == LATIN_1 for file in self._files) else []
        other = "other ways: --task-option format=, columns=, header="
        return (f"read as {', '.join(words)} ({other})", *(f"careful: {hazard}" for hazard in self._hazards))

    def blocks(self) -> Iterator[list[Pair]]:
        """The pairs whose sides have text, without blanks around them, many at once.

        Raises:
            TaskError: a file cannot be read, a line is no pair, or what was said of the file does not fit.
        """
        if len(self._files) == 2:
            yield from self._side_by_side()
            return
        file = self._files[0]
        blocks = file.blocks()
        head = next(blocks)
        if self.format == AUTO:
            self.format = format_of(head)
        blocks = chain([head], blocks)
        if self.format == LEXICON:
            self._words = ["a lexicon: a word and its symbols"]
            yield from map(self._lexicon, blocks)
        elif self.format in CSV_FORMATS:
            yield from self._csv(file, head, blocks)
        else:
            yield from self._with_sign(file, head, blocks)

    def _check_unused(self) -> None:
        for name, value, unused in (("columns", ",".join(self._said.columns), ""), ("header", self._said.header, AUTO)):
            if value != unused:
                raise TaskError(f"{self._files[0].path}: {name}={value} has no meaning for {self.format}")
        if len(self._files) == 2 and self._said.format != AUTO:
            raise TaskError(f"{self._files[0].path}: format={self._said.format} has no meaning for two files")

    def _with_sign(self, file: TextFile, head: Sequence[str], blocks: Iterator[list[str]]) -> Iterator[list[Pair]]:
        """The pairs of lines with a tab or bars between their columns."""
        sign = BARS_SIGN if self.format == BARS else "\t"
        first = next((line.split(sign) for line in head if not _is_passed_over(line, sign)), [""])
        has_header = self._said.header == "yes"
        source, target = self._columns(file.path, first, has_header)
        self._words = [f"{self.format}, columns {source + 1} and {target + 1} of {len(first)}"]
        self._look_at_numbers(source, len(first), [line.split(sign) for line in head[:LOOKED_AT]])
        waiting = has_header
        for lines in blocks:
            pairs: list[Pair] = []
            for number, line in enumerate(lines, self.lines + 1):
                cells = line.split(sign)
                if len(cells) <= max(source, target):
                    if self._is_skipped(line):
                        continue
                    raise file.error(number, self._not_a_pair(line, sign, file.path))
                if waiting:
                    waiting = False
                    continue
                self._further += len(cells) > 2
                self._take(pairs, number, cells[source], cells[target])
            self.lines += len(lines)
            yield pairs

    def _csv(self, file: TextFile, head: Sequence[str], blocks: Iterator[list[str]]) -> Iterator[list[Pair]]:
        """The pairs of rows with quotes around cells that need them."""
        separator = SEPARATORS[self.format]
        widths = Counter(len(row) for _, row in some_rows(head, separator))
        if not widths:
            raise TaskError(f"{file.path}: there is no pair in it")
        width = widths.most_common(1)[0][0]
        if width == 1:
            raise TaskError(f"{file.path}: format={self.format} is given, but its rows have no {self.format}")
        waiting = has_header = self._said.header != "no"
        first = next(row for _, row in some_rows(head, separator) if len(row) == width)
        source, target = self._columns(file.path, first, has_header)
        which = f"{first[source]!r} and {first[target]!r}" if has_header else f"{source + 1} and {target + 1}"
        self._words = [f"{name_of(separator)}, {'header' if has_header else 'no header'}, columns {which} of {width}"]
        self._look_at_numbers(source, width, [row for _, row in some_rows(head, separator)][1:])
        for lines in whole_rows(blocks):
            pairs: list[Pair] = []
            begins = self.lines + 1
            try:
                for ends, row in split_rows(lines, separator):
                    number, begins = begins, self.lines + ends + 1
                    if not any(cell.strip() for cell in row):
                        self.skipped["blank lines"] += 1
                    elif len(row) != width:
                        raise file.error(
                            number,
                            f"it has {len(row)} cells where the lines before have {width}: "
                            "texts that hold the separator need quotes",
                        )
                    elif waiting:
                        waiting = False
                    else:
                        self._take(pairs, number, row[source], row[target])
            except csv.Error as error:
                raise file.error(begins, f"it is not CSV: {error}") from None
            self.lines += len(lines)
            yield pairs

    def _lexicon(self, lines: list[str]) -> list[Pair]:
        pairs: list[Pair] = []
        for number, line in enumerate(lines, self.lines + 1):
            if line.startswith((";;;", "#")):
                self.skipped["comments"] += 1
                continue
            word, _, symbols = line.strip().replace("\t", " ").partition(" ")
            self._take(pairs, number, _VARIANT.sub("", word), symbols)
        self.lines += len(lines)
        return pairs

    def _side_by_side(self) -> Iterator[list[Pair]]:
        """The lines of two files, the first with the second and so on."""
        self._words = ["two files, line by line"]
        sides = [chain.from_iterable(file.blocks()) for file in self._files]
        while True:
            source, target = (list(islice(side, _LINES_AT_ONCE)) for side in sides)
            if len(source) != len(target):
                counts = [
                    self.lines + len(side) + sum(1 for _ in rest)
                    for side, rest in zip((source, target), sides, strict=True)
                ]
                raise TaskError(
                    f"{self._files[0].path} has {counts[0]:,} lines and {self._files[1].path} {counts[1]:,}: "
                    "each line of one must be the pair of that line of the other"
                )
            if not source:
                return
            pairs: list[Pair] = []
            for number, sides_of_line in enumerate(zip(source, target, strict=True), self.lines + 1):
                self._take(pairs, number, *sides_of_line)
            self.lines += len(source)
            yield pairs

    def _take(self, pairs: list[Pair], number: int, source: str, target: str) -> None:
        source, target = source.strip(), target.strip()
        if source and target:
            pairs.append((number, source, target))
        else:
            self.skipped["lines with an empty side" if source or target else "blank lines"] += 1

    def _is_skipped(self, line: str) -> bool:
        """Whether a line without a pair may be passed over."""
        if not line.strip():
            self.skipped["blank lines"] += 1
            return True
        if line.startswith("#"):
            self.skipped["comments"] += 1
            return True
        return False

    def _columns(self, path: str, first: Sequence[str], has_header: bool) -> tuple[int, int]:
        """The places of source and target."""
        if not self._said.columns:
            return 0, 1
        if len(self._said.columns) != 2:
            raise TaskError(
                f"{path}: columns must be those of source and target, but got {','.join(self._said.columns)}"
            )
        names = [name.strip() for name in first] if has_header else []
        places = []
        for name in self._said.columns:
            if name in names:
                places.append(names.index(name))
            elif name.isdecimal() and 1 <= int(name) <= len(first):
                places.append(int(name) - 1)
            else:
                known = ", ".join(names) if names else f"1 to {len(first)}"
                raise TaskError(f"{path} has no column {name!r}: its columns are {known}")
        return places[0], places[1]

    def _look_at_numbers(self, source: int, width: int, rows: Sequence[Sequence[str]]) -> None:
        """Notice where sources are but numbers, as of sentences in an export."""
        cells = [row[source].strip() for row in rows if len(row) > source and not self._said.columns]
        if width > 2 and len(cells) > 1 and all(map(str.isdecimal, cells)):
            self._hazards.append("column 1 holds numbers only: --task-option columns=2,3 takes other columns")

    def _not_a_pair(self, line: str, sign: str, path: str) -> str:
        shown = line if len(line) <= 40 else f"{line[:40]}..."
        if self._said.columns and sign in line:
            return f"it has {line.count(sign) + 1} columns in {shown!r}"
        what = "is no tab" if sign == "\t" else f"are no bars ({BARS_SIGN.strip()})"
        return f"there {what} between source and target in {shown!r}{hint(line, path)}"


def _is_passed_over(line: str, sign: str) -> bool:
    return not line.strip() or (line.startswith("#") and sign not in line)
