"""Buffers that are kept from step to step, because fresh large ones cost page faults."""

import math

import torch
from torch import Tensor


class Workspace:
    """Named buffers that grow to the largest shape asked for and are reused afterwards.

    A buffer's content is valid until the same name is asked for again. One workspace serves one forward pass
    and its backward pass at a time.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype = dtype
        self.device = device
        self._buffers: dict[str, Tensor] = {}

    def empty(self, name: str, *shape: int) -> Tensor:
        """A contiguous tensor of this shape whose content is undefined."""
        numel = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < numel:
            buffer = torch.empty(numel, dtype=self.dtype, device=self.device)
            self._buffers[name] = buffer
        return buffer[:numel].view(shape)

    @property
    def nbytes(self) -> int:
        """Memory held by all buffers, in bytes."""
        return sum(buffer.nbytes for buffer in self._buffers.values())
