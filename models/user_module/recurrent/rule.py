"""A recurrent layer of one trial as an operation that ``torch.func.vmap`` knows how to batch."""

from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue] (the stubs lack it)
from torch._functorch.pyfunctorch import temporarily_pop_interpreter_stack
from torch.autograd import Function

from gradstudy.models.user_module.recurrent.calls import ForwardPass
from gradstudy.models.user_module.recurrent.stack import Stack, run_stack

Given = tuple[Any, ...]
"""Key, lengths, inputs, h0, c0 and weights: what may have an axis of trials. The first two and c0 may be None."""


def stacked(size: int, in_dims: tuple[int | None, ...], given: Given) -> Given:
    """Each tensor with the axis of trials first; what all trials share is repeated without copying.

    Where the axis is first already, it is the tensor itself: under ``torch.no_grad`` another would have no gradient.
    """
    return tuple(
        one
        if not isinstance(one, Tensor) or dim == 0
        else one.unsqueeze(0).expand(size, *one.shape)
        if dim is None
        else one.movedim(dim, 0)
        for one, dim in zip(given, in_dims, strict=True)
    )


def _run(stack: Stack, forward_pass: ForwardPass, given: Given) -> tuple[Tensor, ...]:
    """Run layers over K trials."""
    keys, lengths, inputs, h0, c0, *weights = given
    states = (h0,) if c0 is None else (h0, c0)
    return run_stack(stack, forward_pass, keys, lengths, inputs, states, weights)


class _Layers(Function):
    """Recurrent layers of one trial: inputs [T, B, I], states [L * D, B, R]."""

    @staticmethod
    def forward(stack: Stack, forward_pass: ForwardPass, *given: Any) -> tuple[Tensor, ...]:
        alone = stacked(1, (None,) * len(given), given)
        return tuple(result.squeeze(0) for result in _run(stack, forward_pass, alone))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        stack, _, *given = inputs
        ctx.stack, ctx.there = stack, [one is not None for one in given]
        ctx.save_for_backward(*(one for one in given if one is not None))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        kept = iter(ctx.saved_tensors)
        given = [next(kept) if there else None for there in ctx.there]
        found = iter(_LayersBackward.apply(ctx.stack, len(grads), *grads, *given))  # type: ignore[no-untyped-call]
        return None, None, None, None, *(next(found) if there else None for there in ctx.there[2:])

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        stack, forward_pass, *given = args
        results = _run(stack, forward_pass, stacked(info.batch_size, in_dims[2:], tuple(given)))
        return results, (0,) * len(results)


class _LayersBackward(Function):
    """The gradients where transforms of ``torch.func`` stand above ``vmap``: the forward pass is run again."""

    @staticmethod
    def forward(stack: Stack, count: int, *given: Any) -> tuple[Tensor, ...]:
        alone = stacked(1, (None,) * len(given), given)
        return tuple(gradient.squeeze(0) for gradient in _gradients(stack, alone[:count], alone[count:]))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        raise NotImplementedError("recurrent layers in a batch have no second derivative")

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        stack, count, *given = args
        all_given = stacked(info.batch_size, in_dims[2:], tuple(given))
        gradients = _gradients(stack, all_given[:count], all_given[count:])
        return gradients, (0,) * len(gradients)


def _gradients(stack: Stack, grads: tuple[Tensor, ...], given: Given) -> tuple[Tensor, ...]:
    """Of the loss of each of K trials, with respect to inputs, states and weights."""
    keys, lengths, *tensors = given
    leaves = [None if one is None else one.detach().requires_grad_() for one in tensors]
    with torch.enable_grad():
        results = _run(stack, ForwardPass({}), (keys, lengths, *leaves))
    return torch.autograd.grad(results, [leaf for leaf in leaves if leaf is not None], grads)


def recurrent_layers(
    stack: Stack, forward_pass: ForwardPass, key: Tensor | None, lengths: Tensor | None, *tensors: Tensor | None
) -> tuple[Tensor, ...]:
    """Run the layers of one trial, or of each trial of a ``vmap``.

    Args:
        stack: what is asked for.
        forward_pass: that the call belongs to.
        key: of masks, a 64-bit integer; None where nothing is dropped.
        lengths: of the sequences, [B]; None where all are of T steps.
        tensors: inputs [T, B, I], h0 [L * D, B, R], c0 or None, and torch's flat list of weights.

    Returns:
        The outputs [T, B, D * R] and the last states, [L * D, B, R] each.
    """
    if _functorch.maybe_current_level() == 1 and isinstance(key, Tensor) and _functorch.is_batchedtensor(key):
        return _in_one_vmap(stack, forward_pass, key, (key, lengths, *tensors))
    results: tuple[Tensor, ...] = _Layers.apply(  # type: ignore[no-untyped-call]
        stack, forward_pass, key, lengths, *tensors
    )
    return results


def _in_one_vmap(stack: Stack, forward_pass: ForwardPass, key: Tensor, given: Given) -> tuple[Tensor, ...]:
    """What the rule of ``_Layers`` does where there is no other transform than one ``vmap``, without its costs."""
    level = _functorch.maybe_get_level(key)
    pairs = [_functorch._unwrap_batched(one, level) if isinstance(one, Tensor) else (one, None) for one in given]
    tensors, dims = tuple(one for one, _ in pairs), tuple(dim for _, dim in pairs)
    size = _functorch.get_unwrapped(key).shape[_functorch.maybe_get_bdim(key)]
    with temporarily_pop_interpreter_stack():
        results = _run(stack, forward_pass, stacked(size, dims, tensors))
    return tuple(_functorch._add_batch_dim(result, 0, level) for result in results)
