"""Which kernels work on a workspace's buffers.

On a CPU the pointwise passes are compiled (``compiled_kernels``, ``compiled_rnn``); elsewhere, and in types that the
compiler does not know, they are torch operations (``tensor_kernels``). Both have the same names, arguments and meaning.
"""

from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
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

Array = Tensor | np.ndarray[Any, Any]

_COMPILED = vars(compiled_kernels) | vars(compiled_rnn)


class Bound(Protocol):
    """A kernel whose arrays are given; kernels of a time step take its number last."""

    def __call__(self, *step: int) -> None:
        """Run it."""


def viewed(workspace: Workspace, *tensors: Tensor) -> tuple[Array, ...]:
    """Contiguous tensors as kernels see them, for ``bind``: to be kept where many calls use the same."""
    return tuple(tensor.numpy() for tensor in tensors) if workspace.compiled else tensors


def bind(name: Kernel, workspace: Workspace, *tensors: Array) -> Bound:
    """The kernel of this name over these contiguous tensors, or what ``viewed`` gives of them."""
    if workspace.compiled:
        return partial(_COMPILED[name], *(each.numpy() if isinstance(each, Tensor) else each for each in tensors))
    return partial(getattr(tensor_kernels, name), *tensors)
