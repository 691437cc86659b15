"""Real-valued sequences: what a task of vectors trains on. Does not import torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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

    source: NDArray[np.float32]
    target: NDArray[np.float32]
    source_start: NDArray[np.int64]
    target_start: NDArray[np.int64]
    source_steps: int
    target_steps: int
    decoder: bool
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    origin: str
    details: str
    reading: tuple[str, ...] = ()
    file_digest: str | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """The fields of a ModelShape that the data decide on."""
        return {"source_features": self.source.shape[1], "target_features": self.target.shape[1]}
