"""At which step a record of a log was written."""

from collections.abc import Mapping
from typing import Literal

from gradstudy.study.integrations.logs.columns import Columns, counts_within_epochs

Event = Literal["on", "back", "anew"]
"""A step follows the one before; the run went back to an earlier one; or it, or another one, begins at its first."""


class Clock:
    """Steps as they are logged, or counted where a log has none."""

    def __init__(self, columns: Columns) -> None:
        """Begin.

        Args:
            columns: of the log.
        """
        self.counts = columns.step is None
        self._step_column = columns.step or ""
        self._epoch_column = columns.epoch
        self._restarts = counts_within_epochs(self._step_column, has_epochs=columns.epoch is not None)
        self._first: float | None = None
        self._last = -1.0
        self._seen = 0.0
        self._epoch: float | None = None
        self._epoch_of_loss: float | None = None
        self._before_epoch = 0.0

    def count(self) -> None:
        """Count from now on: the steps in the log do not move."""
        self.counts = True

    def at(self, values: Mapping[str, float]) -> float:
        """The step of a record: its own, or the last one that was seen."""
        if self._epoch_column is not None:
            self._epoch = values.get(self._epoch_column, self._epoch)
        if self.counts:
            return max(self._last, 0.0)
        self._seen = values.get(self._step_column, self._seen)
        return self._before_epoch + self._seen

    def of_loss(self, values: Mapping[str, float]) -> tuple[float, Event]:
        """The step of a record with a loss, and what that says."""
        if self.counts:
            self._last += 1
            return self._last, "on"
        step, last = self.at(values), self._last
        is_next_epoch = self._epoch_column is None or self._epoch != self._epoch_of_loss
        if self._restarts and self._first is not None and is_next_epoch and step <= last:
            self._before_epoch = last + (0.0 if self._first else 1.0)
            step = self.at(values)
        self._epoch_of_loss = self._epoch
        event: Event = "on"
        if self._first is None:
            self._first = step
        elif step < last:
            event = "anew" if step <= self._first else "back"
        self._last = step
        return step, event
