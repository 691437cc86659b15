"""What tells an attribute of a module that was changed from one that was not, without copying its tensors."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.Size, torch.dtype, torch.device, np.generic)
"""Values that are what they say."""

LARGEST = 256
"""Entries of a container up to which its contents are looked at; a vocabulary is no state."""

NOTHING = "(no such attribute)"
"""Stands for an attribute that a module does not have."""


def is_tensor(leaf: Any) -> bool:
    """Whether a leaf of an attribute is a tensor that a module may carry."""
    return isinstance(leaf, Tensor) and not isinstance(leaf, nn.Parameter)


def is_large(value: Any) -> bool:
    """Whether a container has too many entries to be looked at."""
    return isinstance(value, (dict, list, tuple, set)) and len(value) > LARGEST


class Mark:
    """What an attribute was at some time: it equals a later mark where nothing of it has changed.

    Tensors count as changed where they are others or were written to, other objects where they are others.
    """

    __slots__ = ("_alive", "_leaves", "_structure")

    def __init__(self, value: Any) -> None:
        self._structure: Any = None
        if isinstance(value, PLAIN):
            leaves = [value]
        elif is_large(value) or not isinstance(value, (dict, list, tuple, Tensor)):
            leaves = [value]
            self._structure = len(value) if is_large(value) else None
        else:
            leaves, self._structure = tree_flatten(value)
        self._leaves = [_mark(leaf) for leaf in leaves]
        self._alive = leaves  # so that no other object gets the identity of one of them

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mark) and (self._leaves, self._structure) == (other._leaves, other._structure)

    __hash__ = None  # type: ignore[assignment]


def _mark(leaf: Any) -> tuple[Any, ...]:
    if is_tensor(leaf):
        return id(leaf), leaf._version
    return (type(leaf), leaf) if isinstance(leaf, PLAIN) else (id(leaf),)
