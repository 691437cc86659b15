"""Symbol pairs from the user's own file: a pair a line, with a tab between source and target."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.files.pair_format import LEXICON
from gradstudy.models.tasks.files.pair_lines import Pair, PairLines, PairReading
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
_Splits = tuple[_Split, _Split]
"""What makes symbols of a source and of a target."""

_Pair = tuple[int, str, str]
"""Hash of the source, source, target: pairs in this order do not depend on the order of the file."""


def load_pairs_file(
    path: str,
    tokens: str,
    max_length: int,
    vocabulary: int,
    examples: int,
    seed: int,
    format: str,  # noqa: A002 - as the option is called
    columns: str,
    header: str,
) -> TokenPairs:
    """The pairs of a file, those with one source all in training or all in validation.

    Which pairs are kept, their order and the split depend on their text and the seed, not on the order of the lines.

    Args:
        path: of a text file, or of two with a comma between them.
        tokens: ``char`` or ``word``: what a symbol is.
        max_length: symbols of the longest side kept; 0 chooses.
        vocabulary: different symbols of a side, the most frequent ones.
        examples: pairs kept.
        seed: of the choice and the split.
        format: of the file, see ``PairReading``.
        columns: of source and target, with a comma between them; empty for the first two.
        header: whether the first line has names, see ``PairReading``.

    Raises:
        TaskError: the file cannot be read, a line is not a pair, or too few pairs are left.
    """
    chosen = tuple(name.strip() for name in columns.split(",")) if columns else ()
    file = PairLines(path, PairReading(format, chosen, header))
    is_lexicon = file.format == LEXICON
    if is_lexicon and tokens == "word":
        raise TaskError(f"{path}: tokens=word has no meaning for a lexicon, whose sources are letters")
    splits: _Splits = (str.split if tokens == "word" else str, str.split if is_lexicon or tokens == "word" else str)
    reader = _Reader(file, splits, max_length or LONGEST_LIMIT, examples, seed)
    pairs = reader.read()
    dropped, notes = reader.dropped, [f"{file.lines:,} lines read"]
    of_source, of_target = splits
    lengths = np.array([max(len(of_source(source)), len(of_target(target))) for _, source, target in pairs])
    limit = max_length
    if not max_length and len(lengths):
        limit = int(np.clip(np.percentile(lengths, COVERED, method="higher"), SHORTEST_LIMIT, LONGEST_LIMIT))
        notes.append(f"max_length {limit} chosen")
        reader.too_long += int((lengths > limit).sum())
        pairs = [pair for pair, length in zip(pairs, lengths.tolist(), strict=True) if length <= limit]
    if not pairs:
        raise TaskError(f"{path}: {reader.why_nothing_is_left()}")
    dropped[f"longer than {limit}"] = reader.too_long
    sources, rare_sources = _known([of_source(source) for _, source, _ in pairs], vocabulary)
    targets, rare_targets = _known([of_target(target) for _, _, target in pairs], vocabulary)
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
        origin=f"{path}, by {'letter and symbol' if is_lexicon else tokens}",
        dropped=dropped,
        notes=tuple(notes),
        reading=file.reading,
        file_digest=file.digest,
    )


class _Reader:
    """Reads the pairs of a file and keeps, of more than enough, those with the lowest hashes of their sources.

    Attributes:
        too_long: how many pairs were.
        dropped: how many lines or pairs, by other reasons.
    """

    def __init__(self, file: PairLines, splits: _Splits, max_length: int, examples: int, seed: int) -> None:
        self.too_long = 0
        self.dropped: Counter[str] = Counter()
        self._file = file
        self._splits = splits
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
            sources, targets = self._fitting_of(block)
            hashes = pd.util.hash_array(np.array(sources, dtype=object), hash_key=self._key, categorize=False)
            below = np.flatnonzero(hashes < self._limit) if self._limit < 1 << 64 else np.arange(len(hashes))
            for number in below.tolist():
                self._kept[int(hashes[number]), sources[number], targets[number]] += 1
            if len(self._kept) > 2 * self._examples:
                self._keep_lowest()
        self._keep_lowest()
        self.dropped += self._file.skipped
        occurrences = self._kept.total()
        self.dropped["repeated"] += occurrences - len(self._kept)
        self.dropped[f"beyond the {self._examples:,} kept (examples)"] += self._fitting - occurrences
        return sorted(self._kept)

    def why_nothing_is_left(self) -> str:
        """A sentence for a file without a pair that can be kept."""
        if self._fitting:
            return f"more than {self._examples:,} pairs have one source: give a larger number of examples"
        if self._shortest is None:
            return f"there is no pair in it, in {self._file.lines:,} lines"
        return (
            f"all pairs are longer than {self._max_length:,} symbols a side; the shortest has {self._shortest:,}: "
            "give a larger max_length"
        )

    def _fitting_of(self, pairs: list[Pair]) -> tuple[list[str], list[str]]:
        """The sources and targets of pairs that are short enough."""
        sources, targets, limit = [], [], self._max_length
        for _, source, target in pairs:
            # A side has no more symbols than characters, which are counted faster.
            if max(len(source), len(target)) > limit and (length := self._length(source, target)) > limit:
                self._shortest = min(length, self._shortest or length)
                self.too_long += 1
                continue
            sources.append(source)
            targets.append(target)
        self._fitting += len(sources)
        return sources, targets

    def _length(self, source: str, target: str) -> int:
        of_source, of_target = self._splits
        return max(len(of_source(source)), len(of_target(target)))

    def _keep_lowest(self) -> None:
        """Forget pairs with high hashes, all of a source at once, until there are no more than enough."""
        if len(self._kept) > self._examples:
            ordered = sorted(self._kept)
            self._limit = ordered[self._examples][0]
            self._kept = Counter({pair: self._kept[pair] for pair in ordered if pair[0] < self._limit})


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
