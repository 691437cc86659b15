"""SPAM's spike-aware clipping of entries (arXiv 2501.06842); its optimizer is not part of it."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gradstudy.models.clipping.memories.slot_memory import Slots
from gradstudy.models.clipping.memories.tensor_memory import TensorMemory

CLIPPED_FROM = 20
"""The step, counted from 1, from which entries are clipped, as in the authors' code."""
DECAY = 0.999
"""Weight of the past in the running mean of an entry's square; it begins at 0 and is not corrected for that."""


class SpamEntry(TensorMemory):
    """The running mean of the square of each entry of the clipped gradient.

    An entry whose mean is 0 has had no gradient yet, such as that of a word that is new, and is left alone; the
    authors' code sets it to 0 and so leaves it untrained for ever.
    """

    def __init__(self, slots: int, parameters: int, dtype: torch.dtype, device: torch.device) -> None:
        """Start ``slots`` slots that have seen nothing; room for entries is made when they are first seen."""
        super().__init__(slots, parameters, ("count",), dtype, device)
        self._slots = slots

    def __call__(
        self, slots: Slots, places: Sequence[int], gradients: Sequence[Tensor], norm: Tensor, threshold: Tensor
    ) -> Tensor:
        """Clip in place; returns which of the K gradients it changed, bool. See ``ParameterMemory``."""
        count = self._at(slots, places)["count"] + 1
        seen = (self._norms(gradients) > 0) & norm.isfinite().unsqueeze(1)
        clips = seen & (count >= CLIPPED_FROM)
        changed = torch.zeros_like(norm, dtype=torch.bool)
        for number, (place, gradient) in enumerate(zip(places, gradients, strict=True)):
            changed |= self._clip(slots, place, gradient, threshold, seen[:, number], clips[:, number])
        self._keep_at(slots, places, seen, count=count)
        return changed

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Take up what ``state`` gave."""
        for name, tensor in state.items():
            if name not in self.kept:
                self.kept[name] = tensor.new_zeros(self._slots, *tensor.shape)
        super().restore(slot, state)

    def _clip(
        self, slots: Slots, place: int, gradient: Tensor, threshold: Tensor, seen: Tensor, clips: Tensor
    ) -> Tensor:
        """Clip the gradient ``[K, *shape]`` of one parameter; returns which of the K changed."""
        name = f"square_{place}"
        if name not in self.kept:
            self.kept[name] = torch.zeros(self._slots, *gradient.shape[1:], dtype=self._dtype, device=gradient.device)
        across = (-1, *[1] * (gradient.ndim - 1))
        rows = slots.rows.to(gradient.device)
        square = self.kept[name].index_select(0, rows)
        bound = (square * threshold.to(gradient.device, self._dtype).view(across)).sqrt_()
        bound.masked_fill_((square == 0) | ~clips.to(gradient.device).view(across), torch.inf)
        clipped = torch.maximum(torch.minimum(gradient, bound), bound.neg_())
        changed = (clipped != gradient).flatten(1).any(dim=1) & clips.to(gradient.device)
        mean = torch.addcmul(square * DECAY, clipped, clipped, value=1 - DECAY)
        self.kept[name].index_copy_(0, rows, torch.where(seen.to(gradient.device).view(across), mean, square))
        gradient.copy_(clipped)
        return changed.to(self._device)
