"""What tells an attribute of a module that was changed from one that was not, without copying its tensors."""

from collections import deque
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.Size, torch.dtype, torch.device, np.generic)
"""Values that are what they say."""

CONTAINERS = (dict, list, tuple, deque)

FUNCTIONS = (FunctionType, MethodType, ModuleType)
"""Objects whose attributes say nothing of a module's state."""

LARGEST = 256
"""Entries of a container up to which its contents are looked at; a vocabulary is no state."""

NOTHING = "(no such attribute)"
"""Stands for an attribute that a module does not have."""


def is_tensor(leaf: Any) -> bool:
    """Whether a leaf of an attribute is a tensor that a module may carry."""
    return isinstance(leaf, Tensor) and not isinstance(leaf, nn.Parameter)


def is_large(value: Any) -> bool:
    """Whether a container has too many entries to be looked at."""
    return isinstance(value, (*CONTAINERS, set)) and len(value) > LARGEST


class Mark:
    """What an attribute was at some time: it equals a later mark where nothing of it has changed.

    Tensors count as changed where they are others or were written to, other objects where they or what they hold in
    attributes are others.
    """

    __slots__ = ("_alive", "_leaves", "_structure")

    def __init__(self, value: Any) -> None:
        self._structure: Any = None
        self._alive: list[Any] = [value]  # so that no other object gets the identity of one that is marked
        leaves = self._alive
        if is_large(value):
            self._structure = len(value)
            self._leaves: list[Any] = [id(value)]
            return
        if isinstance(value, CONTAINERS) and not isinstance(value, PLAIN):
            leaves, self._structure = tree_flatten(value)
            self._alive = leaves
        self._leaves = [self._mark(leaf) for leaf in leaves]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mark) and (self._leaves, self._structure) == (other._leaves, other._structure)

    __hash__ = None  # type: ignore[assignment]

    def _mark(self, leaf: Any) -> Any:
        if isinstance(leaf, (*PLAIN, Tensor)):
            return _of_one(leaf)
        if isinstance(leaf, set):
            return id(leaf), frozenset(leaf)
        if isinstance(leaf, np.ndarray):
            return id(leaf), leaf.tobytes() if leaf.size <= LARGEST else None
        if isinstance(leaf, (nn.Module, type, *FUNCTIONS)):
            return id(leaf)
        held = list(vars(leaf).items()) if hasattr(leaf, "__dict__") else []
        if isinstance(leaf, CONTAINERS):  # of a kind that torch takes for one thing
            held += leaf.items() if isinstance(leaf, dict) else enumerate(leaf)
        self._alive = [*self._alive, *(value for _, value in held)]
        return id(leaf), [(name, _of_one(value)) for name, value in held]


def _of_one(leaf: Any) -> Any:
    if is_tensor(leaf):
        return id(leaf), leaf._version
    return (type(leaf), leaf) if isinstance(leaf, PLAIN) else id(leaf)
