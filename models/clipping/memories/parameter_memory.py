"""The strategies that remember the gradient of each parameter."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from gradstudy.models.clipping.memories.adagc import AdaGC
from gradstudy.models.clipping.memories.slot_memory import Slots
from gradstudy.models.clipping.memories.spam_entry import SpamEntry
from gradstudy.models.clipping.memories.stable_spam import StableSpam


class ParameterMemory(Protocol):
    """What is kept of each slot's parameters."""

    def reset(self, slot: int) -> None:
        """Forget what ``slot`` has seen."""

    def move(self, source: int, target: int) -> None:
        """Copy what slot ``source`` has seen to slot ``target``."""

    def state(self, slot: int) -> dict[str, Tensor]:
        """What ``slot`` has seen."""
        ...

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Take up what ``state`` gave."""

    def __call__(
        self, slots: Slots, places: Sequence[int], gradients: Sequence[Tensor], norm: Tensor, threshold: Tensor
    ) -> Tensor:
        """Change the gradients of a step in place, and remember it.

        Args:
            slots: the K slots that are stepped.
            places: of the parameters that have a gradient, among all.
            gradients: theirs, ``[K, *shape]`` each.
            norm: ``[K]``, of each slot's whole gradient; one that is not finite leaves no trace.
            threshold: ``[K]``.

        Returns:
            Which of the K gradients were changed, bool.
        """
        ...


PARAMETER_MEMORIES: dict[str, Callable[[int, int, torch.dtype, torch.device], ParameterMemory]] = {
    "adagc": AdaGC,
    "spam_entry": SpamEntry,
    "stable_spam": StableSpam,
}
"""By strategy name, what makes the memory of so many slots and parameters."""
