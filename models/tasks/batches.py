"""Batches of a task's examples for many trials at once."""

import numpy as np
import torch
from numpy.typing import NDArray

from gradstudy.models.model_shape import Batch
from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.order import ExampleOrder
from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.models.tasks.values import ValueSequences
from gradstudy.models.upload import upload

TaskData = TokenPairs | ValueSequences
"""Both have ``train``, ``validation``, ``source_steps``, ``target_steps``, ``sizes``, ``decoder``, ``origin``,
``details``, ``reading``, ``file_digest``, ``to(device)`` and ``batch(numbers)``."""


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
        self._data = data.to(self._device)
        self._validation = data.validation.numpy()
        self._order = ExampleOrder(data.train.numpy(), slots, batch_size)

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
