"""Buffers that are kept from step to step, because fresh large ones cost page faults."""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class Workspace:
    """Named buffers that grow to the largest shape asked for and are reused afterwards.

    A buffer's content is valid until the same name is asked for again. One workspace serves one forward pass
    and its backward pass at a time.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device, *, compiled: bool | None = None) -> None:
        """Make an empty workspace.

        Args:
            dtype: of the buffers.
            device: of the buffers.
            compiled: whether compiled kernels work on the buffers; by default wherever they can, on a CPU in float32
                and float64.
        """
        self.dtype = dtype
        self.device = device
        self.compiled = _can_compile(dtype, device) if compiled is None else compiled
        self._buffers: dict[str, Tensor] = {}
        self._views: dict[Hashable, Any] = {}

    def empty(self, name: str, *shape: int) -> Tensor:
        """A contiguous tensor of this shape whose content is undefined."""
        numel = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < numel:
            buffer = torch.empty(numel, dtype=self.dtype, device=self.device)
            self._buffers[name] = buffer
            self._views.clear()  # those of the buffer that has gone must not be used again
        return buffer[:numel].view(shape)

    def views(self, key: Hashable, make: Callable[[], T]) -> T:
        """Views of this workspace's buffers, made once for a key: slicing costs as much as a small product."""
        views: T | None = self._views.get(key)
        if views is None:
            # Making them may let a buffer grow, which forgets views of other keys: first make, then keep.
            views = make()
            self._views[key] = views
        return views

    @property
    def nbytes(self) -> int:
        """Memory held by all buffers, in bytes."""
        return sum(buffer.nbytes for buffer in self._buffers.values())


def _can_compile(dtype: torch.dtype, device: torch.device) -> bool:
    return device.type == "cpu" and dtype in (torch.float32, torch.float64)


@dataclass(frozen=True, kw_only=True)
class LayerBuffers:
    """What one recurrent layer keeps from its forward to its backward pass; see ``compiled_kernels`` for the shapes."""

    before: Tensor
    gates: Tensor
    h: Tensor
    dh: Tensor
    nothing: Tensor
    h_before: tuple[Tensor, ...]
    """The hidden state before each step, [K, B, H]."""


def start_gradient(buffer: Tensor, *parts: Tensor | None) -> None:
    """Write the sum of the parts that there are to a buffer; zero when there is none."""
    given = [part for part in parts if part is not None]
    if not given:
        buffer.zero_()
        return
    buffer.copy_(given[0])
    for part in given[1:]:
        buffer.add_(part)
