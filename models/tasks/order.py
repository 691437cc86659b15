"""The order in which each slot goes through its training examples."""

import numpy as np
from numpy.typing import NDArray


class ExampleOrder:
    """For each slot an endless sequence of examples that only its seed determines, shuffled for every epoch.

    A batch that begins in one epoch may end in the next, and every epoch has each example exactly once. Two
    epochs of each slot are kept; the second is shuffled when a batch reaches into it.
    """

    def __init__(self, examples: NDArray[np.int64], slots: int, batch_size: int) -> None:
        """Order ``examples``, at least ``batch_size`` of them, for each of ``slots``."""
        self._examples = examples.astype(np.int32)
        self._batch = np.arange(batch_size)
        self._seed = [0] * slots
        self._epoch = np.full(slots, -1)
        self._has_next = np.zeros(slots, dtype=np.bool_)
        self._orders = np.zeros((slots, 2 * len(examples)), dtype=np.int32)

    def admit(self, slot: int, seed: int) -> None:
        """Begin a new order in ``slot``."""
        self._seed[slot] = seed
        self._epoch[slot] = -1
        self._has_next[slot] = False

    def move(self, source: int, target: int) -> None:
        """Continue the order of slot ``source`` in slot ``target``."""
        self._seed[target] = self._seed[source]
        self._epoch[target] = self._epoch[source]
        self._has_next[target] = self._has_next[source]
        self._orders[target] = self._orders[source]

    def batch(self, slots: NDArray[np.int64], steps: NDArray[np.int64]) -> NDArray[np.int32]:
        """The examples ``[n, B]`` of n slots, each at its own step ``[n]``."""
        size = len(self._examples)
        epoch, offset = np.divmod(steps * len(self._batch), size)
        for stale in np.flatnonzero(epoch != self._epoch[slots]):
            self._shuffle(int(slots[stale]), int(epoch[stale]))
        for short in np.flatnonzero((offset + len(self._batch) > size) & ~self._has_next[slots]):
            self._shuffle_next(int(slots[short]))
        return self._orders[slots[:, None], offset[:, None] + self._batch]

    def _shuffle(self, slot: int, epoch: int) -> None:
        """Begin ``epoch`` in ``slot``."""
        size = len(self._examples)
        if epoch == self._epoch[slot] + 1 and self._has_next[slot]:
            self._orders[slot, :size] = self._orders[slot, size:]
        else:
            self._orders[slot, :size] = self._order(slot, epoch)
        self._epoch[slot] = epoch
        self._has_next[slot] = False

    def _shuffle_next(self, slot: int) -> None:
        """Keep the epoch after the current one of ``slot`` as well."""
        self._orders[slot, len(self._examples) :] = self._order(slot, int(self._epoch[slot]) + 1)
        self._has_next[slot] = True

    def _order(self, slot: int, epoch: int) -> NDArray[np.int32]:
        return np.random.default_rng([epoch, self._seed[slot]]).permutation(self._examples)
