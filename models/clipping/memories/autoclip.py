"""AutoClip: clip at a percentile of the norms seen so far (Seetharaman et al. 2020, arXiv 2007.14469)."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from gradstudy.models.clipping.memories.slot_memory import Slots
from gradstudy.models.clipping.scale_rules import norm_coefficient


class AutoClip:
    """The norms that each slot has seen, kept sorted, with infinity after the last.

    With s sorted, inserting x gives ``min(s[j], max(s[j - 1], x))`` at j: no sort, and x = inf changes
    nothing, which is how a non-finite norm is left out.
    """

    def __init__(self, slots: int, steps: int, dtype: torch.dtype, device: torch.device) -> None:
        """Make room for ``steps`` norms in each of ``slots``; it grows when they are not enough."""
        self._sorted = torch.full((slots, steps), torch.inf, dtype=dtype, device=device)
        self._count = torch.zeros(slots, dtype=torch.int64, device=device)
        self._calls = np.zeros(slots, dtype=np.int64)

    def reset(self, slot: int) -> None:
        """Forget the norms of ``slot``."""
        self._sorted[slot] = torch.inf
        self._count[slot] = 0
        self._calls[slot] = 0

    def move(self, source: int, target: int) -> None:
        """Copy the norms of slot ``source`` to slot ``target``."""
        self._sorted[target] = self._sorted[source]
        self._count[target] = self._count[source]
        self._calls[target] = self._calls[source]

    def state(self, slot: int) -> dict[str, Tensor]:
        """The norms that ``slot`` has seen, ascending."""
        seen = self._sorted[slot, : self._calls[slot]]
        return {"norms": seen[seen.isfinite()]}

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Take up what ``state`` gave."""
        norms = state["norms"]
        self._make_room(len(norms))
        self.reset(slot)
        self._sorted[slot, : len(norms)] = norms
        self._count[slot] = self._calls[slot] = len(norms)

    def __call__(self, slots: Slots, norm: Tensor, threshold: Tensor, loss: Tensor | None) -> Tensor:
        """Record the norms and return the coefficients.

        Args:
            slots: that are stepped.
            norm: ``[K]``, this step's gradient norms; they count among the norms seen.
            threshold: ``[K]``, the percentile to clip at, above 0 and up to 100.
            loss: not looked at.

        Returns:
            Coefficients ``[K]``. As long as a slot has seen no finite norm, it clips at 0.
        """
        self._calls[slots.host] += 1
        self._make_room(int(self._calls[slots.host].max()))
        finite = norm.isfinite()
        seen = _insert(self._sorted.index_select(0, slots.rows), torch.where(finite, norm, torch.inf))
        count = self._count.index_select(0, slots.rows) + finite
        self._sorted.index_copy_(0, slots.rows, seen)
        self._count.index_copy_(0, slots.rows, count)
        return norm_coefficient(norm, _percentile(seen, count, threshold))

    def _make_room(self, norms: int) -> None:
        while norms > self._sorted.shape[1]:
            self._sorted = pad(self._sorted, (0, self._sorted.shape[1]), value=torch.inf)


def _insert(ascending: Tensor, value: Tensor) -> Tensor:
    """Insert one value ``[K]`` into each ascending row of ``[K, N]``, dropping the last (infinite) entry."""
    previous = pad(ascending[:, :-1], (1, 0), value=-torch.inf)
    return torch.minimum(ascending, torch.maximum(previous, value.unsqueeze(1)))


def _percentile(ascending: Tensor, count: Tensor, percent: Tensor) -> Tensor:
    """``numpy.percentile`` of the first ``count`` entries of each row; 0 where there are none."""
    last = (count - 1).clamp(min=0)
    position = last * (percent / 100)
    lower = position.long()
    upper = torch.minimum(lower + 1, last)
    low = ascending.gather(1, lower.unsqueeze(1)).squeeze(1)
    high = ascending.gather(1, upper.unsqueeze(1)).squeeze(1)
    return torch.where(count > 0, low + (high - low) * (position - lower), 0.0)
