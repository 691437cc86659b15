"""Tensors that a module keeps in attributes from one call to the next, as a language model its hidden state."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

Attribute = tuple[nn.Module, str]

OF_EVERY_MODULE = frozenset(vars(nn.Module()))
"""Attributes that torch keeps: parameters, buffers, hooks, the mode."""

NOTHING = object()
"""Of an attribute that there was not when the module was made."""


class CarriedState:
    """Knows how a module was made, so that what it carries can begin anew."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._made: dict[Attribute, Any] = {
            (part, name): tree_map(_copied, value)
            for part in module.modules()
            for name, value in vars(part).items()
            if name not in OF_EVERY_MODULE
        }
        self._untouched = self._held()

    @contextmanager
    def anew(self) -> Iterator[None]:
        """Begin as the module was made; at the end what was carried before is carried on."""
        carried = self._held()
        self._reset()
        self._untouched = self._held()
        try:
            yield
        finally:
            self._reset()
            for (part, name), value in carried.items():
                vars(part)[name] = value

    def changed(self) -> str | None:
        """The name of an attribute that holds other tensors than when the module was made; None where there is none."""
        for attribute, value in self._held().items():
            leaves, before = tree_leaves(value), tree_leaves(self._untouched.get(attribute))
            if len(leaves) != len(before) or any(one is not other for one, other in zip(leaves, before, strict=True)):
                return attribute[1]
        return None

    def _held(self) -> dict[Attribute, Any]:
        """The attributes that hold tensors now, other than parameters."""
        return {
            (part, name): value
            for part in self._module.modules()
            for name, value in vars(part).items()
            if name not in OF_EVERY_MODULE and any(map(_is_state, tree_leaves(value)))
        }

    def _reset(self) -> None:
        for part, name in self._held():
            value = self._made.get((part, name), NOTHING)
            if value is NOTHING:
                del vars(part)[name]
            else:
                vars(part)[name] = tree_map(_copied, value)


def _is_state(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and not isinstance(leaf, nn.Parameter)


def _copied(leaf: Any) -> Any:
    return leaf.detach().clone() if _is_state(leaf) else leaf
