"""AdaGC: clip each parameter's gradient at a multiple of its own running norm (arXiv 2502.11034)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gradstudy.models.clipping.memories.slot_memory import Slots
from gradstudy.models.clipping.memories.tensor_memory import TensorMemory, scale_each

WARM_UP = 25
"""The step, counted from 1, with which the warm-up is over; the paper's is the 100th, of runs of many thousand."""
WARM_UP_NORM = 1.0
"""Until then the gradient as a whole is clipped at this norm."""
DECAY = 0.98
"""Weight of the past in the running norm."""


class AdaGC(TensorMemory):
    """The running norm of each parameter's clipped gradient; in the warm-up, the smallest one."""

    def __init__(self, slots: int, parameters: int, dtype: torch.dtype, device: torch.device) -> None:
        """Start ``slots`` slots that have seen nothing."""
        super().__init__(slots, parameters, ("count", "running"), dtype, device)

    def __call__(
        self, slots: Slots, places: Sequence[int], gradients: Sequence[Tensor], norm: Tensor, threshold: Tensor
    ) -> Tensor:
        """Clip in place; returns which of the K gradients it changed, bool. See ``ParameterMemory``."""
        columns = self._columns(places)
        now, norms = self._at(slots, columns), self._norms(gradients)
        count, running = now["count"] + 1, now["running"]
        in_warm_up = count < WARM_UP
        bound = torch.where(in_warm_up, norms * (WARM_UP_NORM / norm.unsqueeze(1)), threshold.unsqueeze(1) * running)
        coefficient = torch.where(norms > bound, bound / norms, 1.0)

        clipped = norms * coefficient
        lowest = torch.where(count == 1, clipped, torch.minimum(running, clipped))
        running = torch.where(in_warm_up, lowest, DECAY * running + (1 - DECAY) * clipped)
        seen = (norms > 0) & norm.isfinite().unsqueeze(1)
        self._keep_at(slots, columns, seen, count=count, running=running)
        scale_each(gradients, coefficient)
        return (coefficient != 1).any(dim=1)
