"""Symbol pairs from the user's own file: a pair a line, with a tab between source and target."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.files.text_file import TextFile
from gradstudy.models.tasks.pairs import TokenPairs, encode_pairs

HELD_OUT_SHARE = 0.1
"""Share of the pairs that is held out for validation."""

COVERED = 95
"""Percentage of the pairs that the length limit lets through when none is given."""

SHORTEST_LIMIT, LONGEST_LIMIT = 40, 200
"""The length limit that is chosen when none is given lies between these."""

UNKNOWN = "<unknown>"
"""What stands for symbols that are too rare for the vocabulary."""

_Split = Callable[[str], Sequence[str]]
_Pair = tuple[int, str, str]
"""Hash of the source, source, target: pairs in this order do not depend on the order of the file."""


def load_pairs_file(path: str, tokens: str, max_length: int, vocabulary: int, examples: int, seed: int) -> TokenPairs:
    """The pairs of a file, those with one source all in training or all in validation.

    Which pairs are kept, their order and the split depend on their text and the seed, not on the order of the lines.

    Args:
        path: of a file in UTF-8.
        tokens: ``char`` or ``word``: what a symbol is.
        max_length: symbols of the longest side kept; 0 chooses.
        vocabulary: different symbols of a side, the most frequent ones.
        examples: pairs kept.
        seed: of the choice and the split.

    Raises:
        TaskError: the file cannot be read, a line is not a pair, or too few pairs are left.
    """
    file = TextFile(path)
    split: _Split = str.split if tokens == "word" else str
    reader = _Reader(file, split, max_length or LONGEST_LIMIT, examples, seed)
    pairs = reader.read()
    dropped, notes = reader.dropped, [f"{reader.lines:,} lines read"]
    lengths = np.array([max(len(split(source)), len(split(target))) for _, source, target in pairs])
    limit = max_length
    if not max_length and len(lengths):
        limit = int(np.clip(np.percentile(lengths, COVERED, method="higher"), SHORTEST_LIMIT, LONGEST_LIMIT))
        notes.append(f"max_length {limit} chosen")
        reader.too_long += int((lengths > limit).sum())
        pairs = [pair for pair, length in zip(pairs, lengths.tolist(), strict=True) if length <= limit]
    if not pairs:
        raise TaskError(f"{path}: {reader.why_nothing_is_left()}")
    dropped[f"longer than {limit}"] = reader.too_long
    sources, rare_sources = _known([split(source) for _, source, _ in pairs], vocabulary)
    targets, rare_targets = _known([split(target) for _, _, target in pairs], vocabulary)
    for side, count in (("source", rare_sources), ("target", rare_targets)):
        if count:
            notes.append(f"{count:,} {side} tokens rarer than the {vocabulary:,} symbols kept are {UNKNOWN}")
    hashes = np.array([number for number, _, _ in pairs], dtype=np.uint64)
    last = max(1, round(HELD_OUT_SHARE * len(pairs))) - 1
    held_out = int(np.searchsorted(hashes, hashes[last], side="right"))
    if held_out == len(pairs):
        raise TaskError(f"{path}: at least 2 pairs with different sources are needed, but there is one source only")
    return encode_pairs(
        sources,
        targets,
        held_out=np.arange(held_out),
        origin=f"{path}, by {tokens}",
        dropped=dropped,
        notes=tuple(notes),
        file_digest=file.digest,
    )


class _Reader:
    """Reads the pairs of a file and keeps, of more than enough, those with the lowest hashes of their sources.

    Attributes:
        lines: read so far.
        too_long: how many pairs were.
        dropped: how many lines or pairs, by other reasons.
    """

    def __init__(self, file: TextFile, split: _Split, max_length: int, examples: int, seed: int) -> None:
        self.lines = 0
        self.too_long = 0
        self.dropped: Counter[str] = Counter()
        self._file = file
        self._split = split
        self._max_length = max_length
        self._examples = examples
        self._key = f"{seed:016x}"
        self._limit = 1 << 64
        self._kept: Counter[_Pair] = Counter()
        self._fitting = 0
        self._shortest: int | None = None

    def read(self) -> list[_Pair]:
        """Every pair that is kept, in order."""
        for block in self._file.blocks():
            sources, targets = self._parse(block)
            hashes = pd.util.hash_array(np.array(sources, dtype=object), hash_key=self._key, categorize=False)
            below = np.flatnonzero(hashes < self._limit) if self._limit < 1 << 64 else np.arange(len(hashes))
            for number in below.tolist():
                self._kept[int(hashes[number]), sources[number], targets[number]] += 1
            if len(self._kept) > 2 * self._examples:
                self._keep_lowest()
        self._keep_lowest()
        occurrences = self._kept.total()
        self.dropped["repeated"] += occurrences - len(self._kept)
        self.dropped[f"beyond the {self._examples:,} kept (examples)"] += self._fitting - occurrences
        return sorted(self._kept)

    def why_nothing_is_left(self) -> str:
        """A sentence for a file without a pair that can be kept."""
        if self._fitting:
            return f"more than {self._examples:,} pairs have one source: give a larger number of examples"
        if self._shortest is None:
            return f"there is no pair in it, in {self.lines:,} lines"
        return (
            f"all pairs are longer than {self._max_length:,} symbols a side; the shortest has {self._shortest:,}: "
            "give a larger max_length"
        )

    def _parse(self, lines: list[str]) -> tuple[list[str], list[str]]:
        """The sources and targets of a block of lines, those that fit."""
        sources, targets, limit = [], [], self._max_length
        for number, line in enumerate(lines, self.lines + 1):
            source, tab, target = line.partition("\t")
            if not tab or "\t" in target:
                if self._is_skipped(line):
                    continue
                raise self._file.error(number, _wrong_tabs(line))
            source, target = source.strip(), target.strip()
            if not source or not target:
                if source or target:
                    raise self._file.error(number, f"the {'target' if source else 'source'} is empty")
                raise self._file.error(number, "source and target are empty")
            # A side has no more symbols than characters, which are counted faster.
            if max(len(source), len(target)) > limit and (length := self._length(source, target)) > limit:
                self._shortest = min(length, self._shortest or length)
                self.too_long += 1
                continue
            sources.append(source)
            targets.append(target)
        self.lines += len(lines)
        self._fitting += len(sources)
        return sources, targets

    def _length(self, source: str, target: str) -> int:
        return max(len(self._split(source)), len(self._split(target)))

    def _is_skipped(self, line: str) -> bool:
        """Whether a line without a pair may be passed over."""
        if not line.strip():
            self.dropped["blank lines"] += 1
            return True
        if line.startswith("#") and "\t" not in line:
            self.dropped["comments"] += 1
            return True
        return False

    def _keep_lowest(self) -> None:
        """Forget pairs with high hashes, all of a source at once, until there are no more than enough."""
        if len(self._kept) > self._examples:
            ordered = sorted(self._kept)
            self._limit = ordered[self._examples][0]
            self._kept = Counter({pair: self._kept[pair] for pair in ordered if pair[0] < self._limit})


def _wrong_tabs(line: str) -> str:
    tabs = line.count("\t")
    shown = line if len(line) <= 40 else f"{line[:40]}..."
    if tabs == 0:
        return f"there is no tab between source and target in {shown!r}"
    return f"there are {tabs} tabs in {shown!r}: a pair is a source, one tab and a target (cut -f1,2 takes two columns)"


def _known(sequences: list[Sequence[str]], size: int) -> tuple[list[Sequence[str]], int]:
    """The sequences with ``UNKNOWN`` for all but the most frequent symbols, and how many were replaced."""
    counts = Counter(_all(sequences))
    if len(counts) <= size:
        return sequences, 0
    known = {symbol for symbol, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: size - 1]}
    replaced = sum(count for symbol, count in counts.items() if symbol not in known)
    return [[symbol if symbol in known else UNKNOWN for symbol in sequence] for sequence in sequences], replaced


def _all(sequences: Iterable[Sequence[str]]) -> Iterable[str]:
    return (symbol for sequence in sequences for symbol in sequence)
