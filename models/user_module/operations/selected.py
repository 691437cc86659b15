"""Rows that a mask selects, ``x[mask]`` or ``masked_select``: trials select different numbers of them.

A batched program has one shape. So all rows are kept, and the mask with them; means, sums and losses leave out those
that are not selected. Other operations on the rows are refused.
"""

import inspect
from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue] (the stubs lack it)
from torch.nn import functional

from gradstudy.models.user_module.operations.errors import UnbatchedError

MARK = "_gradstudy_selected"
"""The attribute of such rows: which are selected, [N]."""

LOSSES: dict[Callable[..., Any], dict[str, Any]] = {
    loss: {
        name: parameter.default
        for name, parameter in inspect.signature(loss).parameters.items()
        if parameter.default is not parameter.empty
    }
    for loss in (
        *(functional.cross_entropy, functional.nll_loss, functional.mse_loss, functional.l1_loss),
        functional.binary_cross_entropy_with_logits,
    )
}
"""Means over rows, and how torch calls them where nothing but predictions and targets was given."""

COUNTED = (functional.cross_entropy, functional.nll_loss)
"""Losses that leave out targets of ``IGNORED``."""

IGNORED = -100
MEANS: tuple[Callable[..., Any], ...] = (Tensor.mean, torch.mean)
SUMS: tuple[Callable[..., Any], ...] = (Tensor.sum, torch.sum)


def is_selected(values: Iterable[Any]) -> bool:
    """Whether any of the arguments of an operation is rows that were selected."""
    return any(isinstance(value, Tensor) and MARK in value.__dict__ for value in values)


def _varies(mask: Any) -> bool:
    """Whether it is a mask that each trial has for itself."""
    return isinstance(mask, Tensor) and mask.dtype == torch.bool and _functorch.is_batchedtensor(mask)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:  # noqa: A002 (torch's name)
    """``torch.masked_select``."""
    if not _varies(mask):
        return torch.masked_select(input, mask)
    input, mask = torch.broadcast_tensors(input, mask)  # noqa: A001
    return _selected(input, mask)


def get_item(tensor: Tensor, index: Any) -> Tensor:
    """``tensor[index]``."""
    return _selected(tensor, index) if _varies(index) else tensor[index]


def set_item(tensor: Tensor, index: Any, value: Any) -> None:
    """``tensor[index] = value``; of a mask, where the value is one number."""
    if _varies(index) and (not isinstance(value, Tensor) or value.ndim == 0):
        tensor.masked_fill_(index.view(*index.shape, *(1,) * (tensor.ndim - index.ndim)), value)
    else:
        tensor[index] = value


def of_selected(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Answer an operation on selected rows.

    Raises:
        UnbatchedError: it is not a mean, a sum or a loss.
    """
    if func in LOSSES and len(args) == 2 and is_selected(args[:1]) and is_selected(args[1:]):
        defaults = LOSSES[func]
        if {**defaults, **kwargs} == defaults:
            return _loss(func, *args)
    if func in (*MEANS, *SUMS) and len(args) == 1 and not kwargs:
        total, count = _total(args[0], args[0].__dict__[MARK])
        return total / count if func in MEANS else total
    name = getattr(func, "__name__", func)
    raise UnbatchedError(f"it takes what a mask selects (x[mask]) to {name}, of a size that differs between trials")


def _selected(tensor: Tensor, mask: Tensor) -> Tensor:
    rows = tensor.flatten(0, mask.ndim - 1)
    rows = rows.view_as(rows)  # a tensor of its own, that bears the mark
    vars(rows)[MARK] = mask.flatten()
    return rows


def _loss(func: Callable[..., Any], predicted: Tensor, target: Tensor) -> Tensor:
    mask, other = predicted.__dict__[MARK], target.__dict__[MARK]
    if mask is not other and not _same(mask, other):
        raise UnbatchedError("predictions and targets are selected by masks that differ")
    counted = mask & (target != IGNORED) if func in COUNTED else mask
    total, count = _total(func(predicted, target, reduction="none"), counted)
    return total / count


def _same(mask: Tensor, other: Tensor) -> bool:
    while _functorch.is_batchedtensor(mask) and _functorch.is_batchedtensor(other):
        mask, other = _functorch.get_unwrapped(mask), _functorch.get_unwrapped(other)
    return torch.equal(mask, other)


def _total(each: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of selected rows [N, ...] and how many entries they have."""
    inside = mask.view(-1, *(1,) * (each.ndim - 1))
    return torch.where(inside, each, 0).sum(), mask.sum() * prod(each.shape[1:])
