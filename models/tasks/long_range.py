"""The literature's tasks of long time lags: adding and temporal order."""

import numpy as np
from numpy.typing import NDArray

from gradstudy.models.tasks.pairs import SOURCE_RESERVED, TokenPairs, hold_out
from gradstudy.models.tasks.values import ValueSequences

HELD_OUT_SHARE = 0.1
"""Share of the sequences that is held out for validation."""

_BEGIN, _END, _RELEVANT, _DISTRACTORS = "E", "B", "XY", "abcd"
_CLASSES = ("XX", "XY", "YX", "YY")


def load_adding(length: int, examples: int, seed: int) -> ValueSequences:
    """Sequences of a number in [0, 1] and a mark, which is 1 for one step of either half; the target is their sum.

    Source: Hochreiter and Schmidhuber 1997, experiment 4, in the form of Le, Jaitly and Hinton 2015, arXiv 1504.00941.
    To answer 1 always gives a mean squared error of 1/6; the task counts as solved below 0.01.
    """
    generator = np.random.default_rng(seed)
    numbers = generator.random((examples, length), dtype=np.float32)
    half = length // 2
    marked = np.stack([generator.integers(0, half, examples), generator.integers(half, length, examples)], 1)
    marks = np.zeros_like(numbers)
    np.put_along_axis(marks, marked, 1, axis=1)
    train, validation = _split(examples, seed)
    return ValueSequences(
        source=np.stack([numbers, marks], 2).reshape(-1, 2),
        target=np.take_along_axis(numbers, marked, axis=1).sum(1, keepdims=True),
        source_start=np.arange(0, examples * length, length),
        target_start=np.arange(examples),
        source_steps=length,
        target_steps=1,
        decoder=False,
        train=train,
        validation=validation,
        origin=f"{examples:,} sequences of {length} numbers, two of them to add, seed {seed}",
        details="to answer 1 always gives mse 0.1667; solved where the mse is below 0.01",
    )


def load_temporal_order(length: int, examples: int, seed: int) -> TokenPairs:
    """Sequences of distractors with two relevant symbols, X or Y each; the target is which came first and second.

    A sequence begins with E and ends with B; the relevant symbols lie at 10 to 20% and at 50 to 60% of its length.
    Source: Hochreiter and Schmidhuber 1997, experiment 6a, of one length as in Pascanu, Mikolov and Bengio 2013, arXiv
    1211.5063. Guessing costs ln 4 = 1.386 nats. Success is less than 1% of errors there; a wrong answer costs ln 2 at
    least, so a loss below 0.0069 is success.
    """
    generator = np.random.default_rng(seed)
    vocabulary = (*SOURCE_RESERVED, _BEGIN, _END, *_DISTRACTORS, *_RELEVANT)
    source = generator.integers(3, 3 + len(_DISTRACTORS), (examples, length), dtype=np.int16)
    source[:, 0], source[:, -1] = vocabulary.index(_BEGIN), vocabulary.index(_END)
    relevant = generator.integers(0, 2, (examples, 2))
    tenth = length / 10
    places = [generator.integers(int(low * tenth), int((low + 1) * tenth), examples, endpoint=True) for low in (1, 5)]
    np.put_along_axis(source, np.stack(places, 1), (vocabulary.index("X") + relevant).astype(np.int16), axis=1)
    train, validation = _split(examples, seed)
    return TokenPairs(
        source=source,
        source_length=np.full(examples, length),
        target=(relevant @ np.array([2, 1]))[:, None],
        target_length=np.ones(examples, dtype=np.int64),
        source_vocabulary=vocabulary,
        target_vocabulary=_CLASSES,
        train=train,
        validation=validation,
        origin=f"{examples:,} sequences of {length} symbols, two of them relevant, seed {seed}",
        notes=("to guess costs 1.386; solved where the loss is below 0.0069",),
        decoder=False,
    )


def _split(examples: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the training and of the validation sequences."""
    held_out = hold_out(examples, HELD_OUT_SHARE, seed)
    return np.setdiff1d(np.arange(examples), held_out), held_out
