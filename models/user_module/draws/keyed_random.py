"""Random numbers in a forward pass that depend on a trial's own seed and step only, never on its neighbours.

Each draw of a forward pass has a number, and hashes the trial's key with it: the same alone, in company, in a replay.
"""

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue] (the stubs lack it)

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


def keyed_uniform(key: Tensor, draw: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Random numbers of one trial, or of each trial of a ``vmap`` whose ``key`` is batched; see ``uniforms``."""
    return _of_each(lambda keys: uniforms(keys, draw, tuple(shape), dtype), key)


def keyed_dropout(x: Tensor, rate: float, key: Tensor, draw: int) -> Tensor:
    """Dropout of one trial, or of each trial of a ``vmap`` whose ``key`` is batched; any shape."""
    shape, dtype = x.shape, x.dtype
    return x * _of_each(lambda keys: dropout_masks(keys, draw, shape, rate, dtype), key)


def _of_each(make: Callable[[Tensor], Tensor], key: Tensor) -> Tensor:
    """What is made of keys [K], as the tensor of one trial.

    It has no history. So it goes past the rules of ``autograd.Function``, which cost more than the numbers.
    """
    if not _functorch.is_batchedtensor(key):
        return make(key.unsqueeze(0)).squeeze(0)
    keys = _functorch.get_unwrapped(key).movedim(_functorch.maybe_get_bdim(key), 0)
    made: Tensor = _functorch._add_batch_dim(make(keys), 0, _functorch.maybe_get_level(key))
    return made
