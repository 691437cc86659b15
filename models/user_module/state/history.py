"""Where the history of a carried tensor ends: between two batches, which a loss must not look back across.

Alone, a backward pass that goes on into the batch before fails, as torch has freed what it needs. Tensors that come out
of a batched program have no history at all, and would hide that.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

NOT_DETACHED = "A state that the model carries from batch to batch must be detached: hidden = hidden.detach()."

MARK = "_gradstudy_ended"
"""The attribute of a tensor without history that had one before it came out of a batch."""


DATA = vars(torch._C.TensorBase)["data"].__get__
DETACHING: frozenset[Callable[..., Any]] = frozenset((Tensor.detach_, DATA))
"""How people detach that ``vmap`` has no rule for."""


class NotDetachedError(RuntimeError):
    """A backward pass went on into the batch before."""


class _Ended(Function):
    """Passes a tensor on; its backward pass fails."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, *parameters: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        raise NotDetachedError(NOT_DETACHED)


def without_history(value: Tensor, *, had_one: bool) -> Tensor:
    """A tensor that is detached, and says whether it was not."""
    value = value.detach()
    if had_one:
        vars(value)[MARK] = True
    return value


def is_ended(leaf: Any) -> bool:
    """Whether something is a tensor that came out of a batch and was not detached there."""
    return isinstance(leaf, Tensor) and MARK in vars(leaf)


def has_history(leaf: Tensor) -> bool:
    """Whether a tensor is not detached, or was not when it came out of a batch."""
    return leaf.requires_grad or is_ended(leaf)


def ended(value: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """The same values; where the loss looks back across them, no gradient of ``parameters`` can be computed."""
    passed: Tensor = _Ended.apply(value, *parameters)  # type: ignore[no-untyped-call]
    return passed


def detached(func: Callable[..., Any], tensor: Tensor) -> Tensor:
    """Answer what is in ``DETACHING``."""
    if func is Tensor.detach_:
        torch.utils.swap_tensors(tensor, tensor.detach())
        return tensor
    return tensor.detach()
