"""Skip steps whose norm or loss is an outlier among the last ones, as OLMo-core's ``SkipStepOptimizer`` does."""

import torch
from torch import Tensor

from gradstudy.models.clipping.memories.slot_memory import SlotMemory, Slots

WINDOW = 40
"""Norms and losses that are compared with; OLMo-core has 128, for runs of many thousand steps."""
JUDGED_AFTER = 19
"""Of these there must be so many, OLMo-core's least, before a step is skipped."""


class SkipZ(SlotMemory):
    """The last norms and losses of each slot, those of skipped steps among them, as in OLMo-core.

    A step whose norm or loss is not finite is always skipped and leaves no trace; there, only once a window is full of
    others. Where all norms, or losses, have been equal, one more of them is no outlier; there, it is.
    """

    def __init__(self, slots: int, dtype: torch.dtype, device: torch.device) -> None:
        """Start ``slots`` slots without a norm."""
        super().__init__(
            count=torch.zeros(slots, dtype=torch.int64, device=device),
            norms=torch.zeros(slots, WINDOW, dtype=dtype, device=device),
            losses=torch.zeros(slots, WINDOW, dtype=dtype, device=device),
        )

    def __call__(self, slots: Slots, norm: Tensor, threshold: Tensor, loss: Tensor | None) -> Tensor:
        """Record the step and return the coefficients ``[K]``: 0 where it is skipped, else 1.

        Args:
            slots: that are stepped.
            norm: ``[K]``, of the gradients.
            threshold: ``[K]``, in standard deviations.
            loss: ``[K]``, before the step; without it only the norms are looked at.
        """
        now = self._of(slots)
        count = now["count"]
        seen, outlier = norm.isfinite(), torch.zeros_like(norm, dtype=torch.bool)
        new = {}
        place = torch.arange(WINDOW, device=norm.device) == (count % WINDOW).unsqueeze(1)
        for name, latest in (("norms", norm), ("losses", norm if loss is None else loss.to(norm.dtype))):
            seen &= latest.isfinite()
            outlier |= _is_outlier(now[name], count, latest, threshold)
            new[name] = torch.where(place, latest.unsqueeze(1), now[name])
        self._keep(slots, seen, count=count + 1, **new)
        return (seen & ~outlier).to(norm.dtype)


def _is_outlier(window: Tensor, count: Tensor, latest: Tensor, threshold: Tensor) -> Tensor:
    """Which of the latest values ``[K]`` are too far from the mean of the known ones of ``[K, WINDOW]``."""
    known = torch.arange(WINDOW, device=window.device) < count.unsqueeze(1)
    number = count.clamp(min=2, max=WINDOW)
    mean = (window * known).sum(dim=1) / number
    deviation = (window - mean.unsqueeze(1)) * known
    std = (deviation.square().sum(dim=1) / (number - 1)).sqrt()
    return (count >= JUDGED_AFTER) & ((latest - mean).abs() > threshold * std)
