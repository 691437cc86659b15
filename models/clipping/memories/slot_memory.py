"""What strategies with a memory keep of each slot, so that trials can come, move and go."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class Slots(NamedTuple):
    """The K slots that are stepped.

    Attributes:
        host: their numbers, ascending.
        rows: the same as an index on the device.
    """

    host: npt.NDArray[np.int64]
    rows: Tensor

    @classmethod
    def of(cls, host: npt.NDArray[np.int64], device: torch.device) -> "Slots":
        """These slots, given on the host."""
        return cls(host, torch.from_numpy(host).to(device))

    def span(self) -> slice | None:
        """The slots as a slice where they follow each other, so that a view will do."""
        first, last = int(self.host[0]), int(self.host[-1])
        return slice(first, last + 1) if last - first + 1 == len(self.host) else None


class SlotMemory:
    """Tensors with the slot as first axis, by name; zeros say that nothing was seen yet."""

    def __init__(self, **kept: Tensor) -> None:
        """Start with these tensors, which hold zeros."""
        self.kept = kept

    def reset(self, slot: int) -> None:
        """Forget what ``slot`` has seen."""
        for tensor in self.kept.values():
            tensor[slot] = 0

    def move(self, source: int, target: int) -> None:
        """Copy what slot ``source`` has seen to slot ``target``."""
        for tensor in self.kept.values():
            tensor[target] = tensor[source]

    def state(self, slot: int) -> dict[str, Tensor]:
        """What ``slot`` has seen."""
        return {name: tensor[slot].clone() for name, tensor in self.kept.items()}

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Take up what ``state`` gave."""
        for name, tensor in self.kept.items():
            tensor[slot] = state[name]

    def _of(self, slots: Slots) -> dict[str, Tensor]:
        """What these slots have seen, ``[K, ...]`` each."""
        return {name: tensor.index_select(0, slots.rows) for name, tensor in self.kept.items()}

    def _keep(self, slots: Slots, seen: Tensor, **new: Tensor) -> None:
        """Replace what these slots have seen where ``seen`` ``[K]`` is true."""
        for name, value in new.items():
            old = self.kept[name].index_select(0, slots.rows)
            taken = seen.view(-1, *[1] * (old.ndim - 1))
            self.kept[name].index_copy_(0, slots.rows, torch.where(taken, value, old))
