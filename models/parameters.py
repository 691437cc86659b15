"""The parameters of K models of one shape as one flat tensor ``[K, P]``. Does not import torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ALIGNMENT = 16
"""Every parameter starts at a multiple of this many elements: 64 bytes in float32, one cache line."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of one model, and where it lies in the flat row.

    Attributes:
        name: as in the torch module that it corresponds to, such as ``encoder.weight_ih_l0``.
        shape: of one trial's tensor; the trial axis is not part of it.
        unit_axis: the axis whose entries are units (the outputs of a weight, the words of an embedding);
            None for a vector, which is one unit.
        offset: of the first element in the flat row.
    """

    name: str
    shape: tuple[int, ...]
    unit_axis: int | None
    offset: int

    @property
    def numel(self) -> int:
        """The number of elements in one trial's tensor."""
        return math.prod(self.shape)

    def view(self, flat: "Tensor") -> "Tensor":
        """The parameter's part of a flat tensor ``[K, P]`` as ``[K, *shape]``, sharing memory."""
        view: Tensor = flat[:, self.offset : self.offset + self.numel].unflatten(1, self.shape)
        return view


class ParameterLayout:
    """How the parameters of one model follow each other in a row of ``size`` elements.

    The gaps that alignment leaves hold zeros in parameters and in gradients, so that a norm over a whole row
    is the norm over the parameters.
    """

    def __init__(self, shapes: Mapping[str, tuple[tuple[int, ...], int | None]]) -> None:
        """Lay out parameters in order; ``shapes`` maps a name to (shape, unit_axis)."""
        offset = 0
        parameters = []
        for name, (shape, unit_axis) in shapes.items():
            parameters.append(Parameter(name, shape, unit_axis, offset))
            offset += math.ceil(math.prod(shape) / ALIGNMENT) * ALIGNMENT
        self.parameters = tuple(parameters)
        self.size = offset

    def views(self, flat: "Tensor") -> "dict[str, Tensor]":
        """Every parameter's part of ``flat`` ``[K, P]`` as ``[K, *shape]``, sharing memory."""
        return {parameter.name: parameter.view(flat) for parameter in self.parameters}
