"""Runs in float64 for a while: there, what differs is not rounding."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from gradstudy.models.user_module.run import ModuleRun
from gradstudy.models.user_module.state.carried_state import another


@contextmanager
def in_float64(run: ModuleRun) -> Iterator[None]:
    """Let a run compute in float64, and what it makes be of that type; at the end it is as before."""
    kept = [(tensor, tensor.data) for tensor in chain(run.module.parameters(), run.module.buffers())]
    default, batches = torch.get_default_dtype(), run.first_batches
    torch.set_default_dtype(torch.float64)
    try:
        for tensor, data in kept:
            tensor.data = _doubled(data)
        run.first_batches = [batch_in_float64(batch) for batch in batches]
        with run.carried.replaced(lambda value: another(value, lambda tensor: _doubled(tensor).clone())):
            yield
    finally:
        run.first_batches = batches
        torch.set_default_dtype(default)
        for tensor, data in kept:
            tensor.data = data


def batch_in_float64(batch: Any) -> Any:
    """A batch with its floating-point tensors in float64."""
    return tree_map(lambda leaf: _doubled(leaf) if isinstance(leaf, Tensor) else leaf, batch)


def _doubled(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
