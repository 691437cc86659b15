"""The gradients of a model's parameters as clipping rules take them, in place and without waiting for the device."""

# pyright: reportPrivateImportUsage=false
# torch documents its foreach operations, whatever their names begin with.

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradstudy.models.clipping.parameter_rules import Rule

ACCEPTED = "parameters are a tensor or an iterable of tensors, such as model.parameters()"


class _Group(NamedTuple):
    """Gradients of one device and type: their entries, and the weights that these belong to."""

    gradients: list[Tensor]
    weights: list[Tensor]


class Gradients:
    """The gradients that there are; of a sparse one its values, which lie in rows of the parameter."""

    def __init__(self, parameters: Tensor | Iterable[Tensor], strategy: str) -> None:
        """Collect them.

        Raises:
            TypeError: there is something else than tensors, or a sparse gradient that ``strategy`` cannot clip.
            ValueError: an iterator is at its end already, as ``model.parameters()`` is after a first use.
        """
        self._groups: dict[tuple[torch.device, torch.dtype], _Group] = {}
        for parameter in _tensors(parameters):
            gradient, weight = parameter.grad, parameter
            if gradient is None:
                continue
            if gradient.layout is not torch.strided:
                gradient, weight = _values(parameter, strategy)
            kind = gradient.device, gradient.dtype
            group = self._groups.get(kind)
            if group is None:
                group = self._groups[kind] = _Group([], [])
            group.gradients.append(gradient)
            group.weights.append(weight)

    def __bool__(self) -> bool:
        return bool(self._groups)

    def norm(self, order: float = 2.0) -> Tensor:
        """Over all entries; 0 where there is no gradient."""
        of_groups = [torch._foreach_norm(group.gradients, order) for group in self._groups.values()]
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

    def apply(self, rule: Rule, threshold: float) -> Tensor:
        """Apply a rule to every parameter; returns whether it changed anything, a bool."""
        changed: list[Tensor] = []
        for (device, dtype), group in self._groups.items():
            as_row = torch.full((1,), threshold, dtype=dtype, device=device)
            rows, weights = ([tensor.view(1, *(tensor.shape or (1,))) for tensor in tensors] for tensors in group)
            unit_axes = [0 if gradient.ndim > 1 else None for gradient in group.gradients]
            changed.append(rule(rows, weights, unit_axes, as_row))
        return torch.cat([one.to(changed[0].device) for one in changed]).any()


def _tensors(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """What was given as parameters, which may be given by people in other forms."""
    if isinstance(parameters, Tensor):
        return [parameters]
    if not isinstance(parameters, Iterable):
        raise TypeError(f"{ACCEPTED}, but got {type(parameters).__name__}")
    tensors = list(parameters)
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{ACCEPTED}, but one of them is {type(tensor).__name__}")
    if not tensors and isinstance(parameters, Iterator):
        raise ValueError(
            "there is nothing to clip: the iterator of parameters is at its end. It can be gone through only once; "
            "call model.parameters() at every step, or make a list of it"
        )
    return tensors


def _values(parameter: Tensor, strategy: str) -> tuple[Tensor, Tensor]:
    """The values of a sparse gradient, coalesced, and the rows of the parameter that they are for."""
    gradient = parameter.grad
    assert gradient is not None
    if gradient.layout is not torch.sparse_coo or gradient.sparse_dim() != 1:
        raise TypeError(
            "sparse gradients can be clipped where they hold whole rows, as those of torch.nn.Embedding(sparse=True), "
            f"but got one of layout {gradient.layout} and shape {list(gradient.shape)}"
        )
    if strategy == "standardize":
        raise TypeError(
            "strategy 'standardize' subtracts the mean from every entry, so that nothing of a sparse gradient stays "
            "sparse: make the embedding with sparse=False"
        )
    parameter.grad = gradient = gradient.coalesce()
    weight = parameter.index_select(0, gradient.indices()[0]) if strategy == "agc" else parameter
    return gradient.values(), weight
