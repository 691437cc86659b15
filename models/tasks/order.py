"""The order in which each slot goes through its training examples."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

AHEAD = 4096
"""How many examples more than a batch needs are drawn at a time."""


class ExampleOrder:
    """For each slot an endless sequence of examples that only its seed determines, shuffled for every epoch.

    A batch that begins in one epoch may end in the next, and every epoch has each example exactly once. Two epochs
    of each slot are kept, and each is shuffled only as far as batches have come: a short run over a large task sees
    few of its examples.
    """

    def __init__(self, examples: NDArray[np.int64], slots: int, batch_size: int) -> None:
        """Order ``examples``, at least ``batch_size`` of them, for each of ``slots``."""
        self._examples = examples.astype(np.int32)
        self._batch = np.arange(batch_size)
        self._seed = [0] * slots
        self._epoch = np.full(slots, -1)
        self._drawn = np.zeros((slots, 2), dtype=np.int64)
        self._random = [(np.random.default_rng(), np.random.default_rng()) for _ in range(slots)]
        self._orders = np.zeros((slots, 2 * len(examples)), dtype=np.int32)

    def admit(self, slot: int, seed: int) -> None:
        """Begin a new order in ``slot``."""
        self._seed[slot] = seed
        self._epoch[slot] = -1

    def move(self, source: int, target: int) -> None:
        """Continue the order of slot ``source`` in slot ``target``."""
        self._seed[target] = self._seed[source]
        self._random[target] = self._random[source]
        for state in (self._epoch, self._drawn, self._orders):
            state[target] = state[source]

    def batch(self, slots: NDArray[np.int64], steps: NDArray[np.int64]) -> NDArray[np.int32]:
        """The examples ``[n, B]`` of n slots, each at its own step ``[n]``."""
        size = len(self._examples)
        epoch, offset = np.divmod(steps * len(self._batch), size)
        for stale in np.flatnonzero(epoch != self._epoch[slots]):
            self._begin(int(slots[stale]), int(epoch[stale]))
        end = offset + len(self._batch)
        for half, needed in enumerate((np.minimum(end, size), end - size)):
            for short in np.flatnonzero(needed > self._drawn[slots, half]):
                self._draw(int(slots[short]), half, int(needed[short]))
        return self._orders[slots[:, None], offset[:, None] + self._batch]

    def _begin(self, slot: int, epoch: int) -> None:
        """Make ``epoch`` the first that is kept of ``slot``."""
        size = len(self._examples)
        if epoch == self._epoch[slot] + 1 and epoch > 0:
            self._orders[slot, :size] = self._orders[slot, size:]
            self._drawn[slot, 0] = self._drawn[slot, 1]
            first = self._random[slot][1]
        else:
            self._orders[slot, :size] = self._examples
            self._drawn[slot, 0] = 0
            first = self._generator(slot, epoch)
        self._random[slot] = (first, self._generator(slot, epoch + 1))
        self._orders[slot, size:] = self._examples
        self._drawn[slot, 1] = 0
        self._epoch[slot] = epoch

    def _generator(self, slot: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng([epoch, self._seed[slot]])

    def _draw(self, slot: int, half: int, needed: int) -> None:
        """Shuffle one of the epochs of ``slot`` as far as ``needed``, and somewhat further."""
        size, begin = len(self._examples), int(self._drawn[slot, half])
        end = min(needed + AHEAD, size)
        order = self._orders[slot, half * size : (half + 1) * size]
        _shuffle(order, begin, self._random[slot][half].random(end - begin))
        self._drawn[slot, half] = end


@njit(cache=True)
def _shuffle(order: NDArray[np.int32], begin: int, uniform: NDArray[np.float64]) -> None:
    """Draw the entries from ``begin`` on, one for each number in [0, 1), from those that are left.

    Source: Fisher and Yates 1938, as Durstenfeld 1964.
    """
    for number, draw in enumerate(uniform):
        place = begin + number
        other = place + int(draw * (len(order) - place))
        order[place], order[other] = order[other], order[place]
