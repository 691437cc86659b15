"""The strategies that remember norms: each multiplies a gradient by a coefficient that follows from those before."""

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from gradstudy.models.clipping.memories.autoclip import AutoClip
from gradstudy.models.clipping.memories.median_norm import MedianNorm
from gradstudy.models.clipping.memories.skip_z import SkipZ
from gradstudy.models.clipping.memories.slot_memory import Slots
from gradstudy.models.clipping.memories.zclip import ZClip


class NormMemory(Protocol):
    """The norms that each slot has seen, or what is kept of them. A norm that is not finite leaves no trace."""

    def reset(self, slot: int) -> None:
        """Forget the norms of ``slot``."""

    def move(self, source: int, target: int) -> None:
        """Copy the norms of slot ``source`` to slot ``target``."""

    def state(self, slot: int) -> dict[str, Tensor]:
        """What is kept of ``slot``."""
        ...

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Take up what ``state`` gave."""

    def __call__(self, slots: Slots, norm: Tensor, threshold: Tensor, loss: Tensor | None) -> Tensor:
        """Record the norms ``[K]`` of a step and its losses ``[K]``; returns the coefficients ``[K]``."""
        ...


NORM_MEMORIES: dict[str, Callable[[int, int, torch.dtype, torch.device], NormMemory]] = {
    "autoclip": AutoClip,
    "zclip": lambda slots, steps, dtype, device: ZClip(slots, dtype, device),
    "median_norm": lambda slots, steps, dtype, device: MedianNorm(slots, dtype, device),
    "skip_z": lambda slots, steps, dtype, device: SkipZ(slots, dtype, device),
}
"""By strategy name, what makes the memory of so many slots for runs of about so many steps."""
