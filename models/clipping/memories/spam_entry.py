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
IN_CACHE = 2**16
"""Entries that a processor works on at once: what it computes of them stays in its cache."""


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
        columns = self._columns(places)
        count = self._at(slots, columns)["count"] + 1
        seen = (self._norms(gradients) > 0) & norm.isfinite().unsqueeze(1)
        clips = seen & (count >= CLIPPED_FROM)
        changed = torch.zeros_like(norm, dtype=torch.bool)
        for number, (place, gradient) in enumerate(zip(places, gradients, strict=True)):
            changed |= self._clip(slots, place, gradient, threshold, seen[:, number], clips[:, number])
        self._keep_at(slots, columns, seen, count=count)
        return changed

    def restore(self, slot: int, state: Mapping[str, Tensor]) -> None:
        """Take up what ``state`` gave."""
        for name, tensor in state.items():
            if name not in self.kept:
                self._make(name, tensor)
        super().restore(slot, state)

    def _make(self, name: str, entries: Tensor) -> None:
        """Make room for the mean squares of ``entries``, a parameter's gradient in one slot or what is kept of it."""
        self.kept[name] = torch.zeros(self._slots, *entries.shape, dtype=self._dtype, device=self._device)

    def _clip(
        self, slots: Slots, place: int, gradient: Tensor, threshold: Tensor, seen: Tensor, clips: Tensor
    ) -> Tensor:
        """Clip the gradient ``[K, *shape]`` of one parameter; returns which of the K changed."""
        name = f"square_{place}"
        if name not in self.kept:
            self._make(name, gradient[0])
        kept = self.kept[name] = self.kept[name].to(gradient.device)  # a restored one may be elsewhere
        across = (-1, *[1] * (gradient.ndim - 1))
        span = slots.span()
        rows = slots.rows.to(gradient.device)
        square = kept.index_select(0, rows) if span is None else kept[span]
        limits = torch.where(clips, threshold, torch.inf).to(gradient.device, self._dtype).view(across)
        seen = seen.to(gradient.device).view(across)
        at_once = max(1, IN_CACHE // gradient[0].numel()) if gradient.device.type == "cpu" else len(gradient)
        blocks = zip(*(each.split(at_once) for each in (gradient, square, limits, seen)), strict=True)
        changed = torch.cat([_clip_block(*block) for block in blocks])
        if span is None:
            kept.index_copy_(0, rows, square)
        return changed.to(self._device) & clips


def _clip_block(gradient: Tensor, square: Tensor, limit: Tensor, seen: Tensor) -> Tensor:
    """Clip some rows and go on with their mean squares, both in place; returns which of them changed."""
    bound = (square * limit).sqrt_().masked_fill_(square == 0, torch.inf)
    clipped = torch.clamp(gradient, bound.neg(), bound)
    changed = (clipped != gradient).flatten(1).any(dim=1)
    latest = torch.mul(clipped, clipped, out=bound)
    torch.where(seen, latest, square, out=latest)
    square.lerp_(latest, 1 - DECAY)
    gradient.copy_(clipped)
    return changed
