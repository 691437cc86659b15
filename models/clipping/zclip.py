"""ZClip: clip norms that are outliers of their own running mean (Kumar et al. 2025, arXiv 2504.02507)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gradstudy.models.clipping.scale_rules import norm_coefficient

WARM_UP_STEPS = 25
"""Finite norms that are only looked at; their mean and population variance are where the averages start."""

MEMORY = 0.97
"""Weight of the past in the running mean and variance (the paper's alpha)."""

Z_EPSILON = 1e-6
"""Added to the standard deviation before dividing by it."""


class ZClip:
    """The running mean and variance of each slot's gradient norm.

    As the authors' package ``zclip`` does in its mode ``zscore`` with ``adaptive_scaling`` and no other limit
    on the norm. A non-finite norm leaves the averages as they are.
    """

    def __init__(self, slots: int, dtype: torch.dtype, device: torch.device) -> None:
        """Start ``slots`` slots without a norm."""
        self._count = torch.zeros(slots, dtype=dtype, device=device)
        self._mean = torch.zeros(slots, dtype=dtype, device=device)
        self._variance = torch.zeros(slots, dtype=dtype, device=device)

    def reset(self, slot: int) -> None:
        """Forget the norms of ``slot``."""
        for state in (self._count, self._mean, self._variance):
            state[slot] = 0

    def move(self, source: int, target: int) -> None:
        """Copy the averages of slot ``source`` to slot ``target``."""
        for state in (self._count, self._mean, self._variance):
            state[target] = state[source]

    def state(self, slot: int) -> dict[str, Tensor]:
        """The averages of ``slot``, and of how many norms they are."""
        return {
            "count": self._count[slot].clone(),
            "mean": self._mean[slot].clone(),
            "variance": self._variance[slot].clone(),
        }

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Take up what ``state`` gave."""
        self._count[slot] = state["count"]
        self._mean[slot] = state["mean"]
        self._variance[slot] = state["variance"]

    def __call__(self, rows: Tensor, norm: Tensor, max_z: Tensor) -> Tensor:
        """Record the norms and return the coefficients ``[K]``.

        Args:
            rows: ``[K]``, the slots that are stepped.
            norm: ``[K]``, this step's gradient norms.
            max_z: ``[K]``, the z-score from which on a norm is an outlier.
        """
        count = self._count.index_select(0, rows)
        mean = self._mean.index_select(0, rows)
        variance = self._variance.index_select(0, rows)
        warm = count >= WARM_UP_STEPS

        std = variance.sqrt()
        z = (norm - mean) / (std + Z_EPSILON)
        accepted = (z <= max_z) | ~warm
        target = torch.where(accepted, norm, mean + max_z * std * max_z / z)

        new_count = count + 1
        average = torch.where(warm, MEMORY * mean + (1 - MEMORY) * target, mean + (norm - mean) / new_count)
        spread = torch.where(
            warm,
            MEMORY * variance + (1 - MEMORY) * (target - average).square(),
            variance + ((norm - mean) * (norm - average) - variance) / new_count,
        )
        finite = norm.isfinite()
        self._count.index_copy_(0, rows, torch.where(finite, new_count, count))
        self._mean.index_copy_(0, rows, torch.where(finite, average, mean))
        self._variance.index_copy_(0, rows, torch.where(finite, spread, variance))
        return torch.where(accepted, 1.0, norm_coefficient(norm, target))
