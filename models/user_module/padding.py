"""Batches of different lengths as one shape: padded to the longest of a company, as their own ``collate`` pads.

A model that counts padding gives another loss then. So this is tried before it is relied on, and looked at again.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from gradstudy.models.user_module.state.marks import PLAIN

Place = tuple[int, int]
"""The number of a tensor in a batch, and one of its axes."""

FIXED = 0.75
"""An axis that is as long in so many of the batches is not padded, such as that of a short last batch."""


def signature(batch: Any) -> Hashable:
    """What batches must have in common to be stacked: their structure, type and shape of each tensor, all else."""
    return _form(batch, {})


def _form(batch: Any, free: Mapping[Place, Any]) -> Hashable:
    leaves, structure = tree_flatten(batch)
    kinds = tuple(
        (leaf.dtype, tuple(None if (i, axis) in free else size for axis, size in enumerate(leaf.shape)))
        if isinstance(leaf, Tensor)
        else _value(leaf)
        for i, leaf in enumerate(leaves)
    )
    return str(structure), kinds


@dataclass(frozen=True)
class Padding:
    """How batches of a study are padded.

    Attributes:
        values: of each padded tensor, by its number in a batch: what its shorter rows end with.
        longest: size of each padded axis in the longest of the batches that were looked at.
    """

    values: Mapping[int, int | float | bool]
    longest: Mapping[Place, int]

    @classmethod
    def of(cls, batches: Sequence[Any]) -> "Padding | None":
        """How to pad batches like these; None where they are of one shape, or differ in more than lengths."""
        flat = [tree_flatten(batch) for batch in batches]
        forms = {(str(structure), *map(_kind, leaves)) for leaves, structure in flat}
        if len(forms) > 1:
            return None
        values: dict[int, int | float | bool] = {}
        longest: dict[Place, int] = {}
        for i, leaf in enumerate(flat[0][0]):
            for axis in range(leaf.ndim if isinstance(leaf, Tensor) else 0):
                sizes = [leaves[i].shape[axis] for leaves, _ in flat]
                if Counter(sizes).most_common(1)[0][1] >= FIXED * len(sizes) or not min(sizes):
                    continue
                ends = torch.cat([leaves[i].select(axis, -1).flatten() for leaves, _ in flat])
                found, counts = ends.unique(return_counts=True)
                values.setdefault(i, found[counts.argmax()].item())
                longest[i, axis] = max(sizes)
        return cls(values, longest) if longest else None

    def shortest(self, batches: Sequence[Any]) -> int:
        """The number of the batch that would be padded most."""
        sizes = [sum(tree_flatten(batch)[0][i].shape[axis] for i, axis in self.longest) for batch in batches]
        return sizes.index(min(sizes))

    def signature(self, batch: Any) -> Hashable:
        """What batches must have in common to be stacked when they are padded."""
        return _form(batch, self.longest)

    def padded(self, batches: Sequence[Any], *, to_longest: bool = False) -> list[Any]:
        """Batches of one signature as ones of one shape, no longer than the longest of them.

        With ``to_longest`` at least as long as the longest of those that were looked at.
        """
        flat = [tree_flatten(batch) for batch in batches]
        sizes = {place: max(leaves[place[0]].shape[place[1]] for leaves, _ in flat) for place in self.longest}
        if to_longest:
            sizes = {place: max(size, self.longest[place]) for place, size in sizes.items()}
        return [self._grown(leaves, structure, sizes) for leaves, structure in flat]

    def _grown(self, leaves: list[Any], structure: TreeSpec, sizes: Mapping[Place, int]) -> Any:
        grown = list(leaves)
        for i, value in self.values.items():
            leaf = leaves[i]
            shape = [sizes.get((i, axis), size) for axis, size in enumerate(leaf.shape)]
            if shape != list(leaf.shape):
                grown[i] = leaf.new_full(shape, value)
                grown[i][tuple(map(slice, leaf.shape))] = leaf
        return tree_unflatten(grown, structure)


AS_THEY_ARE = Padding({}, {})
"""Of batches that are of one shape, whose packed sequences are padded to the length of the batch."""


def _kind(leaf: Any) -> Hashable:
    return (leaf.dtype, leaf.ndim) if isinstance(leaf, Tensor) else _value(leaf)


def _value(leaf: Any) -> Hashable:
    """What equals that of another leaf, neither of them a tensor, if one program can have both."""
    if isinstance(leaf, np.ndarray) and leaf.dtype != object:
        return leaf.dtype.str, leaf.shape, leaf.tobytes()
    return (type(leaf), repr(leaf)) if isinstance(leaf, PLAIN) else id(leaf)
