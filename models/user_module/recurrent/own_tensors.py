"""Tensors that a forward pass makes and then writes to: in a batch each trial has its own.

Tutorials make ``outputs = torch.zeros(...)`` and fill it step by step. A tensor that all trials share has no room for
what each of them writes.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue] (the stubs lack it)
from torch.autograd import Function

MAKERS: frozenset[Callable[..., Any]] = frozenset(
    (
        *(torch.zeros, torch.ones, torch.empty, torch.full),
        *(torch.zeros_like, torch.ones_like, torch.empty_like, torch.full_like),
        *(Tensor.new_zeros, Tensor.new_ones, Tensor.new_empty, Tensor.new_full, Tensor.new),
    )
)


class _Own(Function):
    """A tensor without history for each trial that ``key`` is one of."""

    @staticmethod
    def forward(key: Tensor, made: Tensor) -> Tensor:
        return made.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
        return None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
        (_, made), dim = args, in_dims[1]
        return (made.expand(info.batch_size, *made.shape) if dim is None else made.movedim(dim, 0)).clone(), 0


def own_tensor(key: Tensor, made: Tensor) -> Tensor:
    """What was made, once for each trial of a ``vmap``."""
    if _functorch.maybe_current_level() == 1 and _functorch.is_batchedtensor(key) and not made.requires_grad:
        return _in_one_vmap(key, made)
    own: Tensor = _Own.apply(key, made)  # type: ignore[no-untyped-call]
    return own


def _in_one_vmap(key: Tensor, made: Tensor) -> Tensor:
    """What the rule of ``_Own`` does where there is no other transform than one ``vmap``, without its costs."""
    if _functorch.is_batchedtensor(made):
        return made
    each = _functorch.get_unwrapped(key).shape[_functorch.maybe_get_bdim(key)], *made.shape
    own: Tensor = _functorch._add_batch_dim(made.expand(each).clone(), 0, _functorch.maybe_get_level(key))
    return own
