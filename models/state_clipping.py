"""Limits of the gradients of recurrent states in back-propagation through time, each slot by its own.

At each time step what reaches a layer's state from all sides is summed up and clipped before it goes on: the hidden
state's gradient and, of an LSTM, the cell state's. The sum of one trial over its batch, [B, H], is what a hook of torch
on that state sees. Sequences that have not begun have no part in it.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gradstudy.models.strategies import find_strategy
from gradstudy.models.strategies.inside_backward import BY_VALUE


class StateLimits(NamedTuple):
    """Limits of n trials in one backward pass; of no elements where no trial has one.

    Attributes:
        limit: of the norm of a trial's gradient of a state at one time step, or of its entries, [n]; infinite for none.
        by_value: whether entries are limited, [n].
        clipped: set to True by the backward pass where it changed a gradient, [n].
    """

    limit: Tensor
    by_value: Tensor
    clipped: Tensor

    @property
    def any(self) -> bool:
        """Whether some trial may have one."""
        return self.limit.numel() > 0

    @staticmethod
    def none(dtype: torch.dtype, device: torch.device) -> "StateLimits":
        """Of trials without limits."""
        nobody = torch.empty(0, dtype=torch.bool, device=device)
        return StateLimits(torch.empty(0, dtype=dtype, device=device), nobody, nobody)


class StateClipper:
    """The limit of each slot; slots start without.

    The host knows which slots have one, so that nothing is done, and no device waited for, where none has.
    """

    def __init__(self, slots: int, dtype: torch.dtype, device: torch.device) -> None:
        """Make room for ``slots`` trials; ``dtype`` is that of their parameters."""
        self._limited = [False] * slots
        self._limit = torch.full((slots,), math.inf, dtype=dtype, device=device)
        self._by_value = torch.zeros(slots, dtype=torch.bool, device=device)
        self._none = StateLimits.none(dtype, device)

    def assign(self, slot: int, strategy: str, threshold: float | None) -> None:
        """Begin a trial in ``slot``; strategies that clip after the backward pass leave it without a limit."""
        self._limited[slot] = find_strategy(strategy).inside
        self._limit[slot] = threshold if self._limited[slot] and threshold is not None else math.inf
        self._by_value[slot] = strategy == BY_VALUE

    def move(self, source: int, target: int) -> None:
        """Copy the limit of slot ``source`` to slot ``target``."""
        self._limited[target] = self._limited[source]
        self._limit[target] = self._limit[source]
        self._by_value[target] = self._by_value[source]

    def limits(self, count: int) -> StateLimits:
        """Those of the first ``count`` slots, for one backward pass."""
        if not any(self._limited[:count]):
            return self._none
        by_value = self._by_value[:count]
        return StateLimits(self._limit[:count], by_value, torch.zeros_like(by_value))
