"""ZClip: clip norms that are outliers of their own running mean (Kumar et al. 2025, arXiv 2504.02507)."""

import torch
from torch import Tensor

from gradstudy.models.clipping.memories.slot_memory import SlotMemory, Slots
from gradstudy.models.clipping.scale_rules import norm_coefficient

WARM_UP_STEPS = 25
"""Finite norms that are only looked at; their mean and population variance are where the averages start."""

MEMORY = 0.97
"""Weight of the past in the running mean and variance (the paper's alpha)."""

Z_EPSILON = 1e-6
"""Added to the standard deviation before dividing by it."""


class ZClip(SlotMemory):
    """The running mean and variance of each slot's gradient norm.

    As the authors' package ``zclip`` does in its mode ``zscore`` with ``adaptive_scaling`` and no other limit
    on the norm. A non-finite norm leaves the averages as they are.
    """

    def __init__(self, slots: int, dtype: torch.dtype, device: torch.device) -> None:
        """Start ``slots`` slots without a norm."""
        super().__init__(
            **{name: torch.zeros(slots, dtype=dtype, device=device) for name in ("count", "mean", "variance")}
        )

    def __call__(self, slots: Slots, norm: Tensor, threshold: Tensor, loss: Tensor | None) -> Tensor:
        """Record the norms and return the coefficients ``[K]``.

        Args:
            slots: that are stepped.
            norm: ``[K]``, this step's gradient norms.
            threshold: ``[K]``, the z-score from which on a norm is an outlier.
            loss: not looked at.
        """
        count, mean, variance = self._of(slots).values()
        warm = count >= WARM_UP_STEPS

        std = variance.sqrt()
        z = (norm - mean) / (std + Z_EPSILON)
        accepted = (z <= threshold) | ~warm
        target = torch.where(accepted, norm, mean + threshold * std * threshold / z)

        new_count = count + 1
        average = torch.where(warm, MEMORY * mean + (1 - MEMORY) * target, mean + (norm - mean) / new_count)
        spread = torch.where(
            warm,
            MEMORY * variance + (1 - MEMORY) * (target - average).square(),
            variance + ((norm - mean) * (norm - average) - variance) / new_count,
        )
        self._keep(slots, norm.isfinite(), count=new_count, mean=average, variance=spread)
        return torch.where(accepted, 1.0, norm_coefficient(norm, target))
