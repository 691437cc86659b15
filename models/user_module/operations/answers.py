"""Single operations as ``vmap`` can batch them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gradstudy.models.user_module.operations.ctc import ctc_loss
from gradstudy.models.user_module.operations.errors import UnbatchedError
from gradstudy.models.user_module.operations.hooks import register_hook, requires_grad
from gradstudy.models.user_module.operations.selected import get_item, masked_select, set_item


def embedding(
    input: Tensor,  # noqa: A002 (torch's name)
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of ``weight``; that of padding gets no gradient, which torch's rule forgets. Gradients are dense."""
    if max_norm is not None:
        raise UnbatchedError("its embedding changes its own weights in the forward pass (max_norm)")
    if scale_grad_by_freq:
        raise UnbatchedError("its embedding scales gradients by how often a word occurs (scale_grad_by_freq)")
    found = functional.embedding(input, weight)
    if padding_idx is None:
        return found
    padding = input == padding_idx % len(weight)
    return torch.where(padding.unsqueeze(-1), found.detach(), found)


def kl_div(
    input: Tensor,  # noqa: A002 (torch's name)
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The Kullback-Leibler divergence, of which torch has no rule."""
    if size_average is not None or reduce is not None:
        raise UnbatchedError("it gives kl_div the old arguments size_average or reduce: reduction replaces them")
    each = target.exp() * (target - input) if log_target else torch.xlogy(target, target) - target * input
    if reduction == "batchmean":
        return each.sum() / input.shape[0]
    return each if reduction == "none" else each.mean() if reduction == "mean" else each.sum()


def normalize(
    input: Tensor,  # noqa: A002 (torch's name)
    p: float = 2.0,
    dim: int = 1,
    eps: float = 1e-12,
    out: Tensor | None = None,
) -> Tensor:
    """``functional.normalize``, which writes to ``out`` in ``spectral_norm``."""
    made = functional.normalize(input, p, dim, eps)
    return made if out is None else out.copy_(made)


def weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """``torch._weight_norm``, by operations that have rules."""
    others = tuple(axis for axis in range(v.ndim) if dim == -1 or axis != dim % v.ndim)
    norm: Tensor = torch.linalg.vector_norm(v, dim=others, keepdim=dim != -1)
    return v * (g / norm)


ATTRIBUTES = vars(torch._C.TensorBase)

ANSWERS: dict[Callable[..., Any], Callable[..., Any]] = {
    functional.embedding: embedding,
    functional.kl_div: kl_div,
    functional.normalize: normalize,
    functional.ctc_loss: ctc_loss,
    torch._weight_norm: weight_norm,  # pyright: ignore[reportPrivateImportUsage]
    ATTRIBUTES["requires_grad"].__get__: requires_grad,
    Tensor.register_hook: register_hook,
    Tensor.masked_select: masked_select,
    torch.masked_select: masked_select,
    Tensor.__getitem__: get_item,
    Tensor.__setitem__: set_item,
}
"""By the function of torch that a model calls."""
