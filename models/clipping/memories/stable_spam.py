"""The two stages by which Stable-SPAM changes a gradient (arXiv 2502.17055); its optimizer is not part of it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gradstudy.models.clipping.memories.slot_memory import Slots
from gradstudy.models.clipping.memories.tensor_memory import TensorMemory, scale_each

LARGEST_DECAY = 0.999
NORM_DECAY = 0.7
SQUARE_DECAY = 0.9
"""Weights of the past in the running means of the largest entry, of the norm and of its square."""
EPSILON = 1e-8
"""Added to a norm before dividing by it."""


class StableSpam(TensorMemory):
    """Running means of each parameter's largest entry, of its norm and of the square of that."""

    def __init__(self, slots: int, parameters: int, dtype: torch.dtype, device: torch.device) -> None:
        """Start ``slots`` slots that have seen nothing."""
        super().__init__(slots, parameters, ("count", "largest", "norm", "square"), dtype, device)

    def __call__(
        self, slots: Slots, places: Sequence[int], gradients: Sequence[Tensor], norm: Tensor, threshold: Tensor
    ) -> Tensor:
        """Change in place; returns which of the K gradients it changed, bool. See ``ParameterMemory``."""
        columns = self._columns(places)
        now, top = self._at(slots, columns), self._norms(gradients, torch.inf)
        count = now["count"] + 1
        seen = (top > 0) & norm.isfinite().unsqueeze(1)
        largest = LARGEST_DECAY * now["largest"] + (1 - LARGEST_DECAY) * top
        bound = largest / (1 - LARGEST_DECAY**count)
        _scale_entries(gradients, torch.where(seen, bound, torch.inf), bound / top)

        norms = self._norms(gradients)
        mean = NORM_DECAY * now["norm"] + (1 - NORM_DECAY) * norms
        square = SQUARE_DECAY * now["square"] + (1 - SQUARE_DECAY) * norms.square()
        target = mean / (1 - NORM_DECAY**count) / ((square / (1 - SQUARE_DECAY**count)).sqrt() + EPSILON)
        coefficient = torch.where(seen, target / norms, 1.0)
        self._keep_at(slots, columns, seen, count=count, largest=largest, norm=mean, square=square)
        scale_each(gradients, coefficient)
        return ((coefficient != 1) | (seen & (top > bound))).any(dim=1)


def _scale_entries(gradients: Sequence[Tensor], bound: Tensor, coefficient: Tensor) -> None:
    """Multiply the entries beyond ``bound`` ``[K, n]`` by ``coefficient`` ``[K, n]``, in place."""
    for gradient, *numbers in zip(gradients, bound.unbind(1), coefficient.unbind(1), strict=True):
        shape = (-1, *[1] * (gradient.ndim - 1))
        limit, factor = (number.to(gradient.device).view(shape) for number in numbers)
        scaled = (gradient * factor).to(gradient.dtype)
        torch.where(gradient.abs() > limit, scaled, gradient, out=gradient)
