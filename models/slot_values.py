"""Hyperparameters of an optimizer for each slot of an array."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor


class SlotValues:
    """The value of each hyperparameter in each of K slots, as columns."""

    def __init__(self, values: Mapping[str, float], slots: int, dtype: torch.dtype, device: torch.device) -> None:
        """Begin with the same ``values`` in every slot."""
        self._numbers = {name: np.full(slots, value, np.float64) for name, value in values.items()}
        column = partial(torch.full, (slots, 1), dtype=dtype, device=device)
        self._values: dict[str, Tensor] = {name: column(value) for name, value in values.items()}
        # Taken from 1 before it is rounded: of 1 - 0.9999, float32 would keep three digits.
        self._lacks: dict[str, Tensor] = {name: column(1 - value) for name, value in values.items()}

    def assign(self, slot: int, values: Mapping[str, float]) -> None:
        """Give a slot its values."""
        for name, value in values.items():
            if self._numbers[name][slot] != value:
                self._numbers[name][slot] = value
                self._values[name][slot] = value
                self._lacks[name][slot] = 1 - value

    def move(self, source: int, target: int) -> None:
        """Copy the values of one slot to another."""
        self.assign(target, {name: float(numbers[source]) for name, numbers in self._numbers.items()})

    def value(self, name: str, count: int) -> Tensor:
        """A hyperparameter of the first slots, [count, 1]."""
        return self._values[name][:count]

    def lack(self, name: str, count: int) -> Tensor:
        """What it lacks to 1, [count, 1]."""
        return self._lacks[name][:count]

    def any(self, name: str, count: int) -> bool:
        """Whether any of the first slots has another value than 0."""
        return bool(self._numbers[name][:count].any())
