"""What the strategies keep that remember the gradient of each parameter."""

# pyright: reportPrivateImportUsage=false
# torch documents its foreach operations, whatever their names begin with.

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradstudy.models.clipping.memories.slot_memory import SlotMemory, Slots
from gradstudy.models.upload import upload


class TensorMemory(SlotMemory):
    """Numbers of each slot and parameter, ``[slots, N]``.

    A parameter whose gradient is zero, or of a step whose norm is not finite, leaves no trace: one that plays no part
    in a step has none in a training loop.
    """

    def __init__(self, slots: int, parameters: int, names: Sequence[str], dtype: torch.dtype, device: torch.device):
        """Start ``slots`` slots that have seen nothing; ``names`` are those of what is kept of each parameter."""
        super().__init__(**{name: torch.zeros(slots, parameters, dtype=dtype, device=device) for name in names})
        self._dtype, self._device, self._parameters = dtype, device, parameters

    def _norms(self, gradients: Sequence[Tensor], order: float = 2.0) -> Tensor:
        """Of each slot's gradient of each parameter, ``[K, n]``."""
        norms = [vector_norm(gradient.flatten(1), order, dim=1, dtype=self._dtype) for gradient in gradients]
        return torch.stack([norm.to(self._device) for norm in norms], dim=1)

    def _at(self, slots: Slots, columns: Tensor | None) -> dict[str, Tensor]:
        """What these slots have seen of the parameters in these columns, ``[K, n]`` each."""
        return {name: kept if columns is None else kept[:, columns] for name, kept in self._of(slots).items()}

    def _keep_at(self, slots: Slots, columns: Tensor | None, seen: Tensor, **new: Tensor) -> None:
        """Replace it where ``seen`` ``[K, n]`` is true."""
        for name, value in new.items():
            whole = self.kept[name].index_select(0, slots.rows)
            if columns is None:
                whole = torch.where(seen, value, whole)
            else:
                whole[:, columns] = torch.where(seen, value, whole[:, columns])
            self.kept[name].index_copy_(0, slots.rows, whole)

    def _columns(self, places: Sequence[int]) -> Tensor | None:
        """The places as an index; None where they are all there are."""
        return None if len(places) == self._parameters else upload(np.array(places), self._device)


def scale_each(gradients: Sequence[Tensor], coefficient: Tensor) -> None:
    """Multiply the gradients ``[K, *shape]`` by the columns of ``[K, n]``, in place."""
    columns = [
        column.to(gradient.device).view(-1, *[1] * (gradient.ndim - 1))
        for column, gradient in zip(coefficient.unbind(1), gradients, strict=True)
    ]
    torch._foreach_mul_(list(gradients), columns)
