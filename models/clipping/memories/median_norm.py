"""Clip at a multiple of the median of recent norms: ``clipping_scale`` of ``ScaledAdam`` in icefall's recipes."""

import torch
from torch import Tensor

from gradstudy.models.clipping.memories.slot_memory import SlotMemory, Slots
from gradstudy.models.clipping.scale_rules import norm_coefficient

PERIOD = 40
"""The bound is found every so many steps, from so many norms; icefall has 100, for runs of many thousand steps."""
EARLY = (10, 20)
"""Steps after which a first bound is found from the norms so far, as in icefall."""
EARLY_FACTOR = 2.0
"""How much higher that one is, as norms may still change quickly."""


class MedianNorm(SlotMemory):
    """The last norms of each slot and the bound that was found from them.

    icefall weighs each parameter's gradient by the size of the parameter, as its optimizer is that of scaled
    parameters; here the norm is that of the gradient.
    """

    def __init__(self, slots: int, dtype: torch.dtype, device: torch.device) -> None:
        """Start ``slots`` slots without a norm."""
        super().__init__(
            count=torch.zeros(slots, dtype=torch.int64, device=device),
            norms=torch.zeros(slots, PERIOD, dtype=dtype, device=device),
            bound=torch.zeros(slots, dtype=dtype, device=device),
        )

    def __call__(self, slots: Slots, norm: Tensor, threshold: Tensor, loss: Tensor | None) -> Tensor:
        """Record the norms and return the coefficients ``[K]``.

        Args:
            slots: that are stepped.
            norm: ``[K]``, of the gradients; they count among those that a bound is found from.
            threshold: ``[K]``, the multiple of the median to clip at.
            loss: not looked at.
        """
        now = self._of(slots)
        finite, columns = norm.isfinite(), torch.arange(PERIOD, device=norm.device)
        place = columns == (now["count"] % PERIOD).unsqueeze(1)
        norms = torch.where(place & finite.unsqueeze(1), norm.unsqueeze(1), now["norms"])
        count = now["count"] + 1

        number = count.clamp(max=PERIOD)
        ascending = norms.where(columns < number.unsqueeze(1), torch.inf).sort(dim=1).values
        median = ascending.gather(1, (number // 4 * 2).unsqueeze(1)).squeeze(1)
        early = torch.zeros_like(finite)
        for step in EARLY:
            early |= count == step
        found = threshold * median * torch.where(early, EARLY_FACTOR, 1.0)
        bound = torch.where(finite & (early | (count % PERIOD == 0)), found, now["bound"])

        self._keep(slots, finite, count=count, norms=norms, bound=bound)
        return torch.where(bound > 0, norm_coefficient(norm, bound), 1.0)
