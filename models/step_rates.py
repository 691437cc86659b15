"""The learning rates of a step of several trials, each at its own place in a schedule."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradstudy.models.schedules import Schedule
from gradstudy.models.upload import upload


class StepRates:
    """Learning rates by a schedule that all trials have in common."""

    def __init__(self, schedule: Schedule, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype, self._device = dtype, device
        self._factors = None if schedule.is_constant else schedule.factors()

    def __call__(self, highest: Tensor, step: NDArray[np.int64]) -> Tensor:
        """The rates [n] of trials whose highest ones are ``highest`` [n], after ``step`` [n] steps each."""
        if self._factors is None:
            return highest
        # The last one counts for a trial that goes on; nothing does but a measurement.
        factors = self._factors[np.minimum(step, len(self._factors) - 1)]
        return highest * upload(factors, self._device).to(self._dtype)
