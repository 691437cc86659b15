"""What several runs carry, stacked for a batched program, and what that leaves for each of them."""

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from gradstudy.models.user_module.recurrent.packed import is_packed
from gradstudy.models.user_module.state.carried_state import Attribute, CarriedState
from gradstudy.models.user_module.state.history import ended, has_history, without_history
from gradstudy.models.user_module.state.marks import PLAIN, is_tensor


class StateError(RuntimeError):
    """A batched program cannot carry what a module keeps."""


class NewlyCarriedError(StateError):
    """A step changed attributes that were not known to be carried.

    Attributes:
        attributes: which.
    """

    def __init__(self, attributes: set[Attribute]) -> None:
        super().__init__(f"its attribute {min(attributes)[1]} changes from step to step")
        self.attributes = attributes


def state_signature(carried: CarriedState, attributes: Sequence[Attribute]) -> Hashable:
    """What runs must have in common to go through one program: the same but for the values of tensors."""
    if not attributes:
        return ()
    leaves, structure = tree_flatten(carried.read(attributes))
    kinds = [(leaf.dtype, leaf.shape, has_history(leaf)) if is_tensor(leaf) else repr(leaf) for leaf in leaves]
    return str(structure), tuple(kinds)


class StackedState:
    """What runs carry in some attributes.

    Attributes:
        tensors: each [K, ...].
    """

    def __init__(self, runs: Sequence[CarriedState], attributes: Sequence[Attribute], parameters: Sequence[Tensor]):
        """Stack it.

        Args:
            runs: of one signature.
            attributes: that are carried.
            parameters: of the program, each [K, *shape]; their gradients cannot be computed where the loss looks back
                across what was not detached.

        Raises:
            StateError: an attribute holds something else than tensors, numbers and words, or the runs differ in more
                than the values of tensors.
        """
        self._attributes = attributes
        if len({state_signature(run, attributes) for run in runs}) > 1:
            raise StateError("trials carry different things from step to step")
        flat = [tree_flatten(run.read(attributes)) for run in (runs if attributes else runs[:1])]
        self._leaves, self._structure = flat[0]
        _check(attributes, runs[0].read(attributes))
        self._at = [i for i, leaf in enumerate(self._leaves) if is_tensor(leaf)]
        self.tensors: list[Tensor] = []
        for i in self._at:
            stacked = torch.stack([leaves[i].detach() for leaves, _ in flat])
            self.tensors.append(ended(stacked, parameters) if has_history(self._leaves[i]) else stacked)
        self._left: tuple[list[Any], TreeSpec] = self._leaves, self._structure

    def give(self, module: CarriedState, tensors: Sequence[Tensor]) -> None:
        """Let a module have what a run carries, of which ``tensors`` are the slices."""
        leaves = list(self._leaves)
        for i, tensor in zip(self._at, tensors, strict=True):
            leaves[i] = tensor
        module.write(self._attributes, tree_unflatten(leaves, self._structure))

    def take(self, module: CarriedState) -> list[Tensor]:
        """The tensors of what a module carries after a step; the rest is remembered.

        Raises:
            NewlyCarriedError: it has changed attributes that were not given to it.
            StateError: it keeps what cannot come out of a batch.
        """
        if found := module.changed() - set(self._attributes):
            module.spoiled()
            raise NewlyCarriedError(found)
        values = module.read(self._attributes)
        _check(self._attributes, values)
        self._left = tree_flatten(values)
        return [leaf for leaf in self._left[0] if is_tensor(leaf)]

    def hand_back(self, runs: Sequence[CarriedState], tensors: Sequence[Tensor], finite: Sequence[bool]) -> None:
        """Give runs that are ``finite`` what they carry on: ``tensors`` is what ``take`` gave, each [K, ...]."""
        if not self._attributes:
            return
        leaves, structure = self._left
        at = [i for i, leaf in enumerate(leaves) if is_tensor(leaf)]
        for number in (number for number, is_finite in enumerate(finite) if is_finite):
            own = list(leaves)
            for i, tensor in zip(at, tensors, strict=True):
                own[i] = without_history(tensor.detach()[number], had_one=tensor.requires_grad)
            runs[number].write(self._attributes, tree_unflatten(own, structure))


def _check(attributes: Sequence[Attribute], values: Sequence[Any]) -> None:
    for (_, name), value in zip(attributes, values, strict=True):
        for leaf in tree_flatten(value)[0]:
            if is_packed([leaf]) or not (is_tensor(leaf) or isinstance(leaf, PLAIN)):
                kind = "packed rows" if is_tensor(leaf) else f"an object, {type(leaf).__name__}"
                raise StateError(f"its attribute {name} changes from step to step, and holds {kind}")
