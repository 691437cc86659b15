"""Batches of token pairs for many trials at once."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradstudy.models.seq2seq import TokenBatch
from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.order import ExampleOrder
from gradstudy.models.tasks.pairs import TokenPairs


class TrialBatches:
    """Hands out a batch for each slot, in an order that only the slot's seed determines.

    The pairs lie on the device. Every batch is as wide as the longest pair of the task: were it trimmed, products would
    have other shapes in other company, and a trial's numbers other roundings.
    """

    def __init__(self, pairs: TokenPairs, slots: int, batch_size: int, device: torch.device | str = "cpu") -> None:
        """Serve ``slots`` slots with ``batch_size`` pairs a batch; raises TaskError if there are too few."""
        if not 1 <= batch_size <= len(pairs.train):
            raise TaskError(
                f"batch_size must be from 1 to the number of training pairs, which is {len(pairs.train)}, "
                f"but got {batch_size}"
            )
        self._device = torch.device(device)
        self._source = pairs.source.to(self._device)
        self._target = pairs.target.to(self._device)
        self._validation = pairs.validation.numpy()
        self._order = ExampleOrder(pairs.train.numpy(), slots, batch_size)

    def admit(self, slot: int, seed: int) -> None:
        """Begin a trial in ``slot`` with the order of ``seed``."""
        self._order.admit(slot, seed)

    def move(self, source: int, target: int) -> None:
        """Continue the trial of slot ``source`` in slot ``target``."""
        self._order.move(source, target)

    def batch(self, steps: NDArray[np.int64]) -> TokenBatch:
        """The batches of the first n slots at their own steps ``[n]``: source ``[n, B, S]``, target ``[n, B, U]``."""
        return self._gather(self._order.batch(np.arange(len(steps)), steps))

    def first_batches(self, slot: int, count: int) -> TokenBatch:
        """The first batches of one slot: source ``[count, B, S]``, target ``[count, B, U]``."""
        numbers = [self._order.batch(np.array([slot]), np.array([step])) for step in range(count)]
        return self._gather(np.concatenate(numbers))

    def validation(self, count: int) -> TokenBatch:
        """The first ``count`` validation pairs, or all where there are fewer: source ``[1, count, S]``.

        Raises:
            TaskError: ``count`` is below 1.
        """
        if count < 1:
            raise TaskError(f"the number of validation pairs must be at least 1, but got {count}")
        return self._gather(self._validation[None, :count])

    def _gather(self, numbers: NDArray[np.int32] | NDArray[np.int64]) -> TokenBatch:
        """The pairs with these numbers ``[n, B]``."""
        index = self._upload(numbers.ravel())
        source, target = self._source.index_select(0, index), self._target.index_select(0, index)
        return TokenBatch(source.view(*numbers.shape, -1), target.view(*numbers.shape, -1))

    def _upload(self, numbers: NDArray[np.int32] | NDArray[np.int64]) -> Tensor:
        index = torch.from_numpy(numbers)
        if self._device.type == "cuda":
            return index.pin_memory().to(self._device, non_blocking=True)
        return index
