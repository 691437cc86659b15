"""Random numbers of the usual distributions, made of uniform ones, for one trial's forward pass."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils import checkpoint

from gradstudy.models.user_module.draws.keyed_random import keyed_dropout, keyed_uniform
from gradstudy.models.user_module.random_state import RandomNumbersError

if TYPE_CHECKING:
    from types import FrameType


class Numbers:
    """The draws of a forward pass, numbered in the order in which the model makes them.

    Each has as many elements as its shape says, of the trial whose key it is, or of each trial of a ``vmap``.
    """

    def __init__(self, key: Tensor) -> None:
        """Begin with a trial's key for this step, a 64-bit integer."""
        self.key, self._draws = key, 0

    def next_draws(self, count: int = 1) -> int:
        """The number of the first of so many draws.

        Raises:
            RandomNumbersError: they will be made again, where their number is another.
        """
        if count and _is_checkpointed():
            raise RandomNumbersError("it draws in a part that torch.utils.checkpoint computes twice")
        first = self._draws
        self._draws += count
        return first

    def uniform(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """From 0 to below 1."""
        return keyed_uniform(self.key, self.next_draws(), shape, dtype)

    def inside(self, shape: Sequence[int]) -> Tensor:
        """Strictly between 0 and 1, in float64."""
        return self.uniform(shape, torch.float64) + 2.0**-54

    def normal(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Of mean 0 and standard deviation 1."""
        numbers: Tensor = torch.special.ndtri(self.inside(shape))
        return numbers.to(dtype)

    def exponential(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Of mean 1; never 0."""
        return -self.inside(shape).log().to(dtype).clamp(max=-torch.finfo(dtype).tiny)

    def integers(self, low: int, high: int, shape: Sequence[int]) -> Tensor:
        """From ``low`` to below ``high``, in int64."""
        size = high - low
        return low + (self.uniform(shape, torch.float64) * size).long().clamp(max=size - 1)

    def permutation(self, size: int) -> Tensor:
        """The numbers below ``size`` in random order."""
        return self.uniform((size,), torch.float64).argsort()

    def choices(self, weights: Tensor, count: int, *, again: bool) -> Tensor:
        """Indices of the last axis of weights [..., N] by their size, [..., count]; each may come up ``again``, or not.

        The one whose exponential race ends first: its chance is its share of the weights.
        """
        weights = weights.detach()
        if again:
            weights = weights.unsqueeze(-2).expand(*weights.shape[:-1], count, weights.shape[-1])
            return (weights / self.exponential(weights.shape, weights.dtype)).argmax(-1)
        return (weights / self.exponential(weights.shape, weights.dtype)).topk(count, -1).indices

    def dropout(self, x: Tensor, rate: float) -> Tensor:
        """Each element zero with probability ``rate``, the others larger by 1 / (1 - rate)."""
        return keyed_dropout(x, rate, self.key, self.next_draws())

    def kept(self, shape: Sequence[int], rate: float, dtype: torch.dtype) -> Tensor:
        """0 with probability ``rate``, else 1."""
        return (self.uniform(shape, torch.float32) >= rate).to(dtype)


def _is_checkpointed() -> bool:
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename != checkpoint.__file__:
        frame = frame.f_back
    return frame is not None
