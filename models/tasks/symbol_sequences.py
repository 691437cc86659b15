"""Random symbol sequences to copy or to reverse."""

import numpy as np

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.pairs import TokenPairs, encode_pairs, hold_out

HELD_OUT_SHARE = 0.1
"""Share of the sequences that is held out for validation."""


def load_copy(max_length: int, min_length: int, symbols: int, examples: int, seed: int) -> TokenPairs:
    """Sequences whose target is the source; raises TaskError where ``min_length`` exceeds ``max_length``."""
    sequences = _draw("copy", max_length, min_length, symbols, examples, seed)
    return _pairs(sequences, sequences, examples, f"random sequences to copy, seed {seed}", seed)


def load_reverse(max_length: int, min_length: int, symbols: int, examples: int, seed: int) -> TokenPairs:
    """Sequences whose target is the source backwards; raises TaskError as ``load_copy`` does."""
    sequences = _draw("reverse", max_length, min_length, symbols, examples, seed)
    backwards = [sequence[::-1] for sequence in sequences]
    return _pairs(sequences, backwards, examples, f"random sequences to reverse, seed {seed}", seed)


def _draw(task: str, max_length: int, min_length: int, symbols: int, examples: int, seed: int) -> list[tuple[str, ...]]:
    """Different sequences, of uniform length and symbols before equal ones are dropped."""
    if min_length > max_length:
        raise TaskError(f"task '{task}': min_length must not exceed max_length, but got {min_length} and {max_length}")
    generator = np.random.default_rng(seed)
    lengths = generator.integers(min_length, max_length, examples, endpoint=True)
    drawn = np.split(generator.integers(symbols, size=lengths.sum()).astype(str), np.cumsum(lengths)[:-1])
    return list(dict.fromkeys(tuple(sequence.tolist()) for sequence in drawn))


def _pairs(
    sources: list[tuple[str, ...]], targets: list[tuple[str, ...]], examples: int, what: str, seed: int
) -> TokenPairs:
    return encode_pairs(
        sources,
        targets,
        held_out=hold_out(len(sources), HELD_OUT_SHARE, seed),
        origin=f"{len(sources)} {what}",
        dropped={"repeated": examples - len(sources)},
    )
