"""The gradients of a model's parameters as clipping rules take them, in place and without waiting for the device."""

# pyright: reportPrivateImportUsage=false
# torch documents its foreach operations, whatever their names begin with.

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

from gradstudy.models.clipping.parameter_rules import Rule

ACCEPTED = "parameters are a module, a tensor or an iterable of tensors, such as model.parameters()"
NO_LONGER_SPARSE = {
    "standardize": "subtracts the mean from every entry",
    "spam_entry": "remembers every entry and takes those that are missing for zero",
}
"""The strategies that nothing of a sparse gradient stays sparse under, and why."""


Parameters = nn.Module | Tensor | Iterable[Tensor] | Iterable[tuple[str, Tensor]]
"""A module, or its parameters as ``torch.optim`` takes them."""


class _Group(NamedTuple):
    """Gradients of one device and type: their entries, and the weights that these belong to."""

    gradients: list[Tensor]
    weights: list[Tensor]


class Gradients:
    """The gradients that there are; of a sparse one its values, which lie in rows of the parameter.

    Attributes:
        count: of the parameters, with those that have no gradient.
        owners: the parameters that have one.
        places: theirs among all.
        rows: their gradients, ``[1, *shape]`` each.
    """

    def __init__(self, parameters: Parameters, strategy: str) -> None:
        """Collect them.

        Raises:
            TypeError: there is something else than tensors, or a sparse gradient that ``strategy`` cannot clip.
            ValueError: an iterator is at its end already, as ``model.parameters()`` is after a first use.
        """
        self._groups: dict[tuple[torch.device, torch.dtype], _Group] = {}
        self.owners: list[Tensor] = []
        self.places: list[int] = []
        self.rows: list[Tensor] = []
        tensors = _tensors(parameters)
        self.count = len(tensors)
        for place, parameter in enumerate(tensors):
            gradient, weight = parameter.grad, parameter
            if gradient is None:
                continue
            if gradient.layout is not torch.strided:
                gradient, weight = _values(parameter, strategy)
            self.owners.append(parameter)
            self.places.append(place)
            self.rows.append(_row(gradient))
            kind = gradient.device, gradient.dtype
            group = self._groups.get(kind)
            if group is None:
                group = self._groups[kind] = _Group([], [])
            group.gradients.append(gradient)
            group.weights.append(weight)

    def __bool__(self) -> bool:
        return bool(self._groups)

    def norm(self, order: float = 2.0) -> Tensor:
        """Over all entries, at least in float32; 0 where there is no gradient."""
        of_groups = [
            torch._foreach_norm(group.gradients, order, dtype=torch.promote_types(dtype, torch.float32))
            for (_, dtype), group in self._groups.items()
        ]
        norms = [norm for of_group in of_groups for norm in of_group]
        if not norms:
            return torch.tensor(0.0)
        if len(of_groups) > 1:
            norms = [norm.to(norms[0].device) for norm in norms]
        total: Tensor = vector_norm(torch.stack(norms), order)
        return total

    def scale(self, coefficient: Tensor) -> None:
        """Multiply every gradient; where looking at the coefficient costs no waiting, one of 1 is left out."""
        if coefficient.device.type == "cpu" and coefficient == 1:
            return
        for (device, _), group in self._groups.items():
            torch._foreach_mul_(group.gradients, coefficient.to(device))

    def clamp(self, bound: float) -> None:
        """Bound every entry."""
        for group in self._groups.values():
            torch._foreach_clamp_min_(group.gradients, -bound)
            torch._foreach_clamp_max_(group.gradients, bound)

    def drop(self) -> None:
        """Take the gradients away, so that an optimizer passes its parameters over."""
        for parameter in self.owners:
            parameter.grad = None
        self._groups.clear()

    def apply(self, rule: Rule, threshold: float) -> Tensor:
        """Apply a rule to every parameter, at least in float32; returns whether it changed anything, a bool."""
        changed: list[Tensor] = []
        for (device, dtype), group in self._groups.items():
            working = torch.promote_types(dtype, torch.float32)
            as_row = torch.full((1,), threshold, dtype=working, device=device)
            rows, weights = ([_row(tensor.to(working)) for tensor in tensors] for tensors in group)
            unit_axes = [0 if gradient.ndim > 1 else None for gradient in group.gradients]
            changed.append(rule(rows, weights, unit_axes, as_row))
            if working != dtype:
                torch._foreach_copy_([_row(gradient) for gradient in group.gradients], rows)
        return torch.cat([one.to(changed[0].device) for one in changed]).any()


def _row(tensor: Tensor) -> Tensor:
    """As of one model, ``[1, *shape]``; a number is a vector of one entry."""
    return tensor.view(1, *(tensor.shape or (1,)))


def _tensors(parameters: Parameters) -> list[Tensor]:
    """What was given as parameters, which may be given by people in other forms."""
    if isinstance(parameters, nn.Module):
        return list(parameters.parameters())
    if isinstance(parameters, Tensor):
        return [parameters]
    if not isinstance(parameters, Iterable):
        raise TypeError(f"{ACCEPTED}, but got {type(parameters).__name__}")
    tensors = []
    for given in parameters:
        tensor = given[1] if _is_named(given) else given
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{ACCEPTED}, but one of them is {type(given).__name__}")
        tensors.append(tensor)
    if not tensors and isinstance(parameters, Iterator):
        raise ValueError(
            "there is nothing to clip: the iterator of parameters is at its end. It can be gone through only once; "
            "call model.parameters() at every step, or make a list of it"
        )
    return tensors


def _is_named(given: Any) -> TypeGuard[tuple[str, Tensor]]:
    """Whether it is one of ``model.named_parameters()``."""
    return isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str)


def _values(parameter: Tensor, strategy: str) -> tuple[Tensor, Tensor]:
    """The values of a sparse gradient, coalesced, and the rows of the parameter that they are for."""
    gradient = parameter.grad
    assert gradient is not None
    if gradient.layout is not torch.sparse_coo or gradient.sparse_dim() != 1:
        raise TypeError(
            "sparse gradients can be clipped where they hold whole rows, as those of torch.nn.Embedding(sparse=True), "
            f"but got one of layout {gradient.layout} and shape {list(gradient.shape)}"
        )
    if strategy in NO_LONGER_SPARSE:
        raise TypeError(
            f"strategy '{strategy}' {NO_LONGER_SPARSE[strategy]}, so that nothing of a sparse gradient stays sparse: "
            "make the embedding with sparse=False"
        )
    parameter.grad = gradient = gradient.coalesce()
    weight = parameter.index_select(0, gradient.indices()[0]) if strategy == "agc" else parameter
    return gradient.values(), weight
