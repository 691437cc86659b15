"""Random numbers in a forward pass that depend on a trial's own seed and step only, never on its neighbours.

Each draw of a forward pass has a number, and hashes the trial's key with it: the same alone, in company, in a replay.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from gradstudy.models.dropout import BITS, dropout, random_bits
from gradstudy.models.user_module.draws.compiled_masks import fill_masks, fill_uniforms

BITS_OF = {torch.float64: 53, torch.float32: BITS, torch.float16: 11, torch.bfloat16: 8}
"""Random bits in a uniform number of each type: as many as its fraction holds."""


def dropout_masks(keys: Tensor, draw: int, shape: Sequence[int], rate: float, dtype: torch.dtype) -> Tensor:
    """What activations are multiplied by: 0 with probability ``rate``, else 1 / (1 - rate), [K, *shape].

    Args:
        keys: one 64-bit integer for each trial and step, [K]; see ``dropout_key``.
        draw: the number of the draw in its forward pass.
        shape: of one trial's activations.
        rate: probability of a zero, 0 <= rate <= 1.
        dtype: of the masks.
    """
    trials = len(keys)
    if rate == 1:
        return torch.zeros(trials, *shape, dtype=dtype, device=keys.device)
    if keys.device.type == "cpu" and dtype in (torch.float32, torch.float64):
        masks = torch.empty(trials, prod(shape), dtype=dtype)
        of_trials = keys.contiguous().numpy().view(np.uint64)
        fill_masks(masks.numpy(), of_trials, draw, int(rate * 2**BITS), 1 / (1 - rate))
        return masks.view(trials, *shape)
    ones = torch.ones(trials, 1, 1, prod(shape), dtype=dtype, device=keys.device)
    return dropout(ones, rate, keys, torch.zeros(1, dtype=torch.int64, device=keys.device), draw).view(trials, *shape)


def uniforms(keys: Tensor, draw: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Random numbers from 0 to below 1 with as many bits as ``dtype`` holds, [K, *shape].

    Args:
        keys: see ``dropout_masks``.
        draw: see ``dropout_masks``.
        shape: of one trial's numbers.
        dtype: of the numbers.
    """
    trials, bits = len(keys), BITS_OF[dtype]
    if keys.device.type == "cpu":
        wide = dtype if dtype in (torch.float32, torch.float64) else torch.float32
        numbers = torch.empty(trials, prod(shape), dtype=wide)
        fill_uniforms(numbers.numpy(), keys.contiguous().numpy().view(np.uint64), draw, bits)
    else:
        element = torch.arange(prod(shape), device=keys.device)
        numbers = random_bits(keys, draw, element, bits).double() * 2.0**-bits
    return numbers.to(dtype).view(trials, *shape)


class _Uniform(Function):
    """The random numbers of one trial, [*shape]."""

    @staticmethod
    def forward(key: Tensor, draw: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return uniforms(key.unsqueeze(0), draw, shape, dtype).squeeze(0)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
        return (None,) * 4

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
        return uniforms(*args), 0


def keyed_uniform(key: Tensor, draw: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Random numbers of one trial, or of each trial of a ``vmap`` whose ``key`` is batched; see ``uniforms``."""
    numbers: Tensor = _Uniform.apply(key, draw, tuple(shape), dtype)  # type: ignore[no-untyped-call]
    return numbers


class _Mask(Function):
    """The mask of one trial, [*shape]."""

    @staticmethod
    def forward(key: Tensor, draw: int, shape: Sequence[int], rate: float, dtype: torch.dtype) -> Tensor:
        return dropout_masks(key.unsqueeze(0), draw, shape, rate, dtype).squeeze(0)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
        return (None,) * 5

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:
        return dropout_masks(*args), 0


def keyed_dropout(x: Tensor, rate: float, key: Tensor, draw: int) -> Tensor:
    """Dropout of one trial, or of each trial of a ``vmap`` whose ``key`` is batched; any shape."""
    mask: Tensor = _Mask.apply(key, draw, x.shape, rate, x.dtype)  # type: ignore[no-untyped-call]
    return x * mask
