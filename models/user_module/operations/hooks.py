"""Hooks on tensors that a forward pass makes: in a batch they change the gradient of each trial."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue] (the stubs lack it)
from torch.func import vmap

from gradstudy.models.user_module.operations.errors import UnbatchedError

Hook = Callable[[Tensor], Tensor | None]


def requires_grad(tensor: Tensor) -> bool:
    """Whether a tensor has a gradient: ``vmap`` shows a model tensors that seem to have none."""
    while _functorch.is_batchedtensor(tensor):
        tensor = _functorch.get_unwrapped(tensor)
    return tensor.requires_grad


def register_hook(tensor: Tensor, hook: Hook) -> Any:
    """``Tensor.register_hook`` of one trial of a ``vmap``."""
    if not _functorch.is_batchedtensor(tensor):
        return tensor.register_hook(hook)
    seen = inspect.getclosurevars(hook).nonlocals.values() if inspect.isfunction(hook) else ()
    if any(isinstance(value, Tensor) for value in seen):
        raise UnbatchedError("a hook on a tensor computes with tensors of the forward pass")
    dim = _functorch.maybe_get_bdim(tensor)

    def changed(gradient: Tensor) -> Tensor:
        found = hook(gradient)
        return gradient if found is None else found

    return _functorch.get_unwrapped(tensor).register_hook(vmap(changed, dim, dim))
