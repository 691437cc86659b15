"""Batches of a task's examples for many trials at once."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradstudy.models.model_shape import Batch, TokenBatch, ValueBatch
from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.order import ExampleOrder
from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.models.trainable import TaskData
from gradstudy.models.upload import upload


@dataclass(frozen=True)
class _Tokens:
    """Pairs on a device, see ``TokenPairs``."""

    source: Tensor
    target: Tensor

    def batch(self, numbers: Tensor) -> TokenBatch:
        """The pairs of these numbers [n, B], on the same device."""
        index = numbers.flatten()
        source, target = self.source.index_select(0, index).long(), self.target.index_select(0, index).long()
        return TokenBatch(source.view(*numbers.shape, -1), target.view(*numbers.shape, -1))


@dataclass(frozen=True)
class _Values:
    """Stretches of rows on a device, see ``ValueSequences``."""

    source: Tensor
    target: Tensor
    source_start: Tensor
    target_start: Tensor
    source_steps: int
    target_steps: int

    def batch(self, numbers: Tensor) -> ValueBatch:
        """The examples of these numbers [n, B], on the same device."""
        return ValueBatch(
            _rows(self.source, self.source_start[numbers], self.source_steps),
            _rows(self.target, self.target_start[numbers], self.target_steps),
        )


def _rows(table: Tensor, start: Tensor, steps: int) -> Tensor:
    """From each start [n, B] the next ``steps`` rows of a table [R, F], as [n, steps, B, F]."""
    index = start.unsqueeze(1) + torch.arange(steps, device=start.device).view(-1, 1)
    return table.index_select(0, index.flatten()).view(*index.shape, -1)


def on_device(data: TaskData, device: torch.device) -> _Tokens | _Values:
    """The examples on a device; on a CPU they share memory with ``data``."""
    source, target = (torch.from_numpy(each).to(device) for each in (data.source, data.target))
    if isinstance(data, TokenPairs):
        return _Tokens(source, target)
    source_start, target_start = (torch.from_numpy(each).to(device) for each in (data.source_start, data.target_start))
    return _Values(source, target, source_start, target_start, data.source_steps, data.target_steps)


class TrialBatches:
    """Hands out a batch for each slot, in an order that only the slot's seed determines.

    The examples lie on the device. Every batch is as wide as the longest pair of the task: if it were trimmed,
    the shapes of products, and so the roundings of a trial's numbers, would depend on the trials beside it.
    """

    def __init__(self, data: TaskData, slots: int, batch_size: int, device: torch.device | str = "cpu") -> None:
        """Serve ``slots`` slots with ``batch_size`` examples a batch; raises TaskError if there are too few."""
        if not 1 <= batch_size <= len(data.train):
            raise TaskError(
                f"batch_size must be from 1 to the number of training pairs, which is {len(data.train)}, "
                f"but got {batch_size}"
            )
        self._device = torch.device(device)
        self._data = on_device(data, self._device)
        self._validation = data.validation
        self._order = ExampleOrder(data.train, slots, batch_size)

    def admit(self, slot: int, seed: int) -> None:
        """Begin a trial in ``slot`` with the order of ``seed``."""
        self._order.admit(slot, seed)

    def move(self, source: int, target: int) -> None:
        """Continue the trial of slot ``source`` in slot ``target``."""
        self._order.move(source, target)

    def batch(self, steps: NDArray[np.int64]) -> Batch:
        """The batches of the first n slots at their own steps ``[n]``: n on the batch's trial axis."""
        return self._gather(self._order.batch(np.arange(len(steps)), steps))

    def first_batches(self, slot: int, steps: range) -> Batch:
        """The batches of one slot at these steps, on the batch's trial axis."""
        numbers = [self._order.batch(np.array([slot]), np.array([step])) for step in steps]
        return self._gather(np.concatenate(numbers))

    def validation(self, count: int) -> Batch:
        """The first ``count`` validation examples, or all where there are fewer, for one trial.

        Raises:
            TaskError: ``count`` is below 1.
        """
        if count < 1:
            raise TaskError(f"the number of validation pairs must be at least 1, but got {count}")
        return self._gather(self._validation[None, :count])

    def _gather(self, numbers: NDArray[np.int32] | NDArray[np.int64]) -> Batch:
        """The examples with these numbers ``[n, B]``."""
        return self._data.batch(upload(numbers, self._device))
