"""Which kernels work on a workspace's buffers.

On a CPU the pointwise passes are compiled (``compiled_kernels``); elsewhere, and in types that the compiler does not
know, they are torch operations (``tensor_kernels``). Both have the same names, arguments and meaning.
"""

from functools import partial
from typing import Literal, Protocol

from torch import Tensor

from gradstudy.models import compiled_kernels, tensor_kernels
from gradstudy.models.workspace import Workspace

Kernel = Literal[
    "lstm_forward",
    "lstm_backward",
    "gru_forward",
    "gru_backward",
    "cross_entropy_forward",
    "cross_entropy_backward",
]


class Bound(Protocol):
    """A kernel whose arrays are given; kernels of a time step take its number."""

    def __call__(self, *step: int) -> None:
        """Run it."""


def bind(name: Kernel, workspace: Workspace, *tensors: Tensor) -> Bound:
    """The kernel of this name over these contiguous tensors."""
    if workspace.compiled:
        return partial(getattr(compiled_kernels, name), *(tensor.numpy() for tensor in tensors))
    return partial(getattr(tensor_kernels, name), *tensors)
