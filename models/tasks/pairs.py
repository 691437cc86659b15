"""Pairs of symbol sequences as padded arrays: what a token task trains on. Does not import torch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from gradstudy.models.model_shape import BEGIN, END, PAD
from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.files.skipped import skipped_in_words

_RESERVED = {PAD: "<pad>", BEGIN: "<begin>", END: "<end>"}

SOURCE_RESERVED = (_RESERVED[PAD],)
"""The source symbols that come before a task's own."""

TARGET_RESERVED = tuple(_RESERVED[number] for number in sorted(_RESERVED))
"""The target symbols that come before a task's own."""


@dataclass(frozen=True, kw_only=True)
class TokenPairs:
    """N pairs of symbol sequences, split into training and validation.

    Attributes:
        source: symbol numbers, padded at the front, without begin or end, int16 or int32 ``[N, S]``.
        source_length: symbols before padding, int64 ``[N]``.
        target: symbol numbers, padded at the end; the last symbol is the end symbol, int16 or int32 ``[N, U]``. Without
            a decoder one symbol, ``[N, 1]``.
        target_length: symbols before padding, the end symbol among them, int64 ``[N]``.
        source_vocabulary: the source symbols by number.
        target_vocabulary: the target symbols by number.
        train: numbers of the training pairs, int64.
        validation: numbers of the validation pairs, in random order, int64; none is a training pair.
        dropped: how many of the origin were left out, by reason.
        origin: where the pairs come from, one line for the report.
        notes: what was decided on the way from the origin to the pairs.
        decoder: whether the target is a sequence that a decoder unrolls; otherwise it is one of the target symbols,
            none of which is reserved.
        reading: how the file was read and what of it needs attention, a line each; none where there is no file.
        file_digest: of the file that they were read from; None where there is none.
    """

    source: NDArray[np.signedinteger]
    source_length: NDArray[np.int64]
    target: NDArray[np.signedinteger]
    target_length: NDArray[np.int64]
    source_vocabulary: tuple[str, ...]
    target_vocabulary: tuple[str, ...]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    dropped: Mapping[str, int] = field(default_factory=dict)
    origin: str
    notes: tuple[str, ...] = ()
    decoder: bool = True
    reading: tuple[str, ...] = ()
    file_digest: str | None = None

    @property
    def source_steps(self) -> int:
        """Positions of a source, S."""
        return int(self.source.shape[1])

    @property
    def target_steps(self) -> int:
        """Positions of a target, U."""
        return int(self.target.shape[1])

    @property
    def sizes(self) -> dict[str, int]:
        """The fields of a ModelShape that the data decide on."""
        return {
            "source_vocabulary": len(self.source_vocabulary),
            "target_vocabulary": len(self.target_vocabulary),
        }

    @property
    def details(self) -> str:
        """Vocabularies, lengths, what was decided and what was dropped, one line."""
        reserved = len(TARGET_RESERVED) if self.decoder else 0
        symbols = f"{len(self.source_vocabulary) - len(SOURCE_RESERVED)} source symbols"
        longest = f"longest {int(self.source_length.max())} and {int(self.target_length.max()) - bool(reserved)}"
        parts = [f"{symbols}, {len(self.target_vocabulary) - reserved} target symbols", longest, *self.notes]
        return "; ".join(parts + skipped_in_words(self.dropped))

    def source_symbols(self, pair: int) -> list[str]:
        """The source sequence of a pair."""
        return self._symbols(self.source[pair], self.source_vocabulary)

    def target_symbols(self, pair: int) -> list[str]:
        """The target sequence of a pair, without the end symbol."""
        return self._symbols(self.target[pair], self.target_vocabulary)[:-1]

    @staticmethod
    def _symbols(row: NDArray[np.signedinteger], vocabulary: tuple[str, ...]) -> list[str]:
        return [vocabulary[number] for number in row.tolist() if number != PAD]


def encode_pairs(
    sources: Sequence[Sequence[str]],
    targets: Sequence[Sequence[str]],
    *,
    held_out: NDArray[np.int64],
    origin: str,
    dropped: Mapping[str, int] | None = None,
    notes: tuple[str, ...] = (),
    reading: tuple[str, ...] = (),
    file_digest: str | None = None,
) -> TokenPairs:
    """Number the symbols of N pairs, in sorted order of the symbols.

    Args:
        sources: N sequences of at least one symbol; a string is a sequence of letters.
        targets: N sequences.
        held_out: numbers of the pairs to validate on.
        origin: where the pairs come from.
        dropped: how many of the origin are not among these, by reason.
        notes: what was decided on the way.
        reading: how the file was read.
        file_digest: of the file that they were read from.

    Raises:
        TaskError: there is nothing to train on or nothing to validate on.
    """
    if len(held_out) in (0, len(sources)):
        raise TaskError(
            f"{origin}: there must be at least one pair to train on and one to validate on, but there are "
            f"{len(sources) - len(held_out)} and {len(held_out)}"
        )
    source_vocabulary = SOURCE_RESERVED + _symbols_of(sources)
    target_vocabulary = TARGET_RESERVED + _symbols_of(targets)
    source, source_length = _encode(sources, source_vocabulary)
    target, target_length = _encode(targets, target_vocabulary)
    train = np.setdiff1d(np.arange(len(sources)), held_out)
    return TokenPairs(
        source=_pad_front(source, source_length, len(source_vocabulary)),
        source_length=source_length,
        target=_pad_end(target, target_length, len(target_vocabulary)),
        target_length=target_length + 1,
        source_vocabulary=source_vocabulary,
        target_vocabulary=target_vocabulary,
        train=train,
        validation=held_out,
        dropped=dropped or {},
        origin=origin,
        notes=notes,
        reading=reading,
        file_digest=file_digest,
    )


def hold_out(pairs: int, share: float, seed: int) -> NDArray[np.int64]:
    """Numbers of a random ``share`` of the pairs, at least one, in random order."""
    order = np.random.default_rng(seed).permutation(pairs)
    return order[: max(1, round(share * pairs))].astype(np.int64)


def _symbols_of(sequences: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(sorted(set(chain.from_iterable(sequences))))


def _encode(
    sequences: Sequence[Sequence[str]], vocabulary: tuple[str, ...]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """All symbol numbers one after the other ``[sum of lengths]``, and the lengths ``[N]``."""
    number = {symbol: number for number, symbol in enumerate(vocabulary)}
    lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
    flat = map(number.__getitem__, chain.from_iterable(sequences))
    return np.fromiter(flat, dtype=np.int32, count=int(lengths.sum())), lengths


def _pad_end(flat: NDArray[np.int32], lengths: NDArray[np.int64], symbols: int) -> NDArray[np.signedinteger]:
    """Each sequence, the end symbol and padding, ``[N, U]``."""
    positions = np.arange(lengths.max(initial=0) + 1)
    padded = _fill(flat, positions < lengths[:, None], symbols)
    padded[np.arange(len(lengths)), lengths] = END
    return padded


def _pad_front(flat: NDArray[np.int32], lengths: NDArray[np.int64], symbols: int) -> NDArray[np.signedinteger]:
    """Padding and each sequence, ``[N, S]``."""
    positions = np.arange(lengths.max(initial=0))[::-1]
    return _fill(flat, positions < lengths[:, None], symbols)


def _fill(flat: NDArray[np.int32], taken: NDArray[np.bool_], symbols: int) -> NDArray[np.signedinteger]:
    """Put the symbols, in order, where ``taken`` ``[N, L]`` is true, and padding elsewhere; as small as they fit."""
    padded = np.full(taken.shape, PAD, dtype=np.int16 if symbols <= np.iinfo(np.int16).max else np.int32)
    padded[taken] = flat
    return padded
