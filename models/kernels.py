"""Which kernels work on a workspace's buffers.

On a CPU the pointwise passes are compiled (``compiled_kernels``, ``compiled_rnn``); elsewhere, and in types that the
compiler does not know, they are torch operations (``tensor_kernels``). Both have the same names, arguments and meaning.
"""

from functools import partial
from typing import Literal, Protocol

from torch import Tensor

from gradstudy.models import compiled_kernels, compiled_rnn, tensor_kernels
from gradstudy.models.workspace import Workspace

Kernel = Literal[
    "lstm_forward",
    "lstm_backward",
    "gru_forward",
    "gru_backward",
    "rnn_forward",
    "rnn_backward",
    "cross_entropy_forward",
    "cross_entropy_backward",
]

_COMPILED = vars(compiled_kernels) | vars(compiled_rnn)


class Bound(Protocol):
    """A kernel whose arrays are given; kernels of a time step take its number last."""

    def __call__(self, *step: int) -> None:
        """Run it."""


def bind(name: Kernel, workspace: Workspace, *tensors: Tensor) -> Bound:
    """The kernel of this name over these contiguous tensors."""
    if workspace.compiled:
        return partial(_COMPILED[name], *(tensor.numpy() for tensor in tensors))
    return partial(getattr(tensor_kernels, name), *tensors)
