"""Real-valued sequences: what a task of vectors trains on."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from gradstudy.models.model_shape import ValueBatch


@dataclass(frozen=True, kw_only=True)
class ValueSequences:
    """N examples, each a stretch of rows of a table and a stretch of rows of another, or of the same.

    Windows of a series overlap: only where each begins is kept.

    Attributes:
        source: the rows that sources are taken from, [R, F].
        target: the rows that targets are taken from, [Q, G].
        source_start: first source row of each example, int64 [N].
        target_start: first target row of each example, int64 [N].
        source_steps: rows of a source.
        target_steps: rows of a target.
        decoder: whether a decoder unrolls the target, which follows its source; otherwise it is one row.
        train: numbers of the training examples, int64.
        validation: numbers of the validation examples, in random order, int64; none is a training example.
        origin: where the examples come from, one line for the report.
        details: what was decided on the way from the origin to the examples, one line.
        reading: how the file was read and what of it needs attention, a line each; none where there is no file.
        file_digest: of the file that they were read from; None where there is none.
    """

    source: Tensor
    target: Tensor
    source_start: Tensor
    target_start: Tensor
    source_steps: int
    target_steps: int
    decoder: bool
    train: Tensor
    validation: Tensor
    origin: str
    details: str
    reading: tuple[str, ...] = ()
    file_digest: str | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """The fields of a ModelShape that the data decide on."""
        return {"source_features": self.source.shape[1], "target_features": self.target.shape[1]}

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        return replace(
            self,
            source=self.source.to(device),
            target=self.target.to(device),
            source_start=self.source_start.to(device),
            target_start=self.target_start.to(device),
        )

    def batch(self, numbers: Tensor) -> ValueBatch:
        """The examples of these numbers [n, B], on the device of the data."""
        return ValueBatch(
            _rows(self.source, self.source_start[numbers], self.source_steps),
            _rows(self.target, self.target_start[numbers], self.target_steps),
        )


def _rows(table: Tensor, start: Tensor, steps: int) -> Tensor:
    """From each start [n, B] the next ``steps`` rows of a table [R, F], as [n, steps, B, F]."""
    index = start.unsqueeze(1) + torch.arange(steps, device=start.device).view(-1, 1)
    return table.index_select(0, index.flatten()).view(*index.shape, -1)
