"""Columns that only count the rows, such as an index or a year."""

import numpy as np
from numpy.typing import NDArray


class Counting:
    """Tells which columns rise or fall by the same step in every row."""

    def __init__(self, columns: int) -> None:
        self._counts = np.ones(columns, dtype=np.bool_)
        self._last: NDArray[np.float64] | None = None
        self._step: NDArray[np.float64] | None = None
        self._rows = 0

    def add(self, block: NDArray[np.float64]) -> None:
        """Take in rows [R, F]."""
        self._rows += len(block)
        joined = block if self._last is None else np.concatenate([self._last, block])
        steps = np.diff(joined, axis=0)
        if self._step is None and len(steps):
            self._step = steps[:1]
        if self._step is not None:
            tolerance = 1e-9 * np.abs(joined).max(0)
            self._counts &= (self._step[0] != 0) & (np.abs(steps - self._step) <= tolerance).all(0)
        self._last = block[-1:]

    def columns(self) -> NDArray[np.bool_]:
        """Which ones do; none of fewer than three rows."""
        return self._counts & (self._rows > 2)

    def falls(self) -> bool:
        """Whether a column falls by one in every row, as where the newest row comes first."""
        return self._step is not None and bool((self.columns() & (self._step[0] == -1)).any())
