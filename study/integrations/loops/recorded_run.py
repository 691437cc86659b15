"""A training run of somebody's own loop, while it is recorded."""

import math
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self, SupportsFloat

import numpy as np

from gradstudy.models.loss_names import LossKind
from gradstudy.storage.errors import ClaimLostError
from gradstudy.storage.recorder import Steps
from gradstudy.storage.workers import HEARTBEAT_SECONDS
from gradstudy.study.background import in_background
from gradstudy.study.divergence import DivergenceMonitor, Verdict, as_number
from gradstudy.study.errors import RunDivergedError
from gradstudy.study.integrations.loops.run_books import LOG, NoBooks, RunBooks
from gradstudy.study.integrations.loops.run_result import RunTelemetry, end_of, result_of
from gradstudy.study.patience import UNANSWERED

COLUMNS = ("loss", "grad_norm", "applied_norm", "learning_rate")


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a run before its first step.

    Attributes:
        learning_rate: where a step says no other one.
        loss: which one is trained.
        untrained: the loss of the untrained model on each of the first batches, or one number; None for that of the
            first step.
        untrained_validation: the same on the data of the validation loss; None where that is measured, or not known.
        steps: that the run is to make; None for as many as its loop makes.
        guard: whether the loop skips steps that are not finite.
        stop: whether the loop is to end when the run has diverged.
    """

    learning_rate: float
    loss: LossKind
    untrained: SupportsFloat | Sequence[SupportsFloat] | None
    untrained_validation: float | None
    steps: int | None
    guard: bool
    stop: bool


class RecordedRun:
    """A run of a ``with`` block: see ``record_run``.

    Attributes:
        monitor: that watches the run; None before the first step where the untrained loss was not given.
        verdict: that the run has diverged, and when; None as long as it goes on.
        outcome: how it ended, at the end of the block: trained, stalled, diverged, pruned or failed; None before.
        reason: of that, where there is one.
    """

    def __init__(self, known: Known, open_books: Callable[[], RunBooks | NoBooks]) -> None:
        """Use ``record_run``."""
        self.verdict: Verdict | None = None
        self.outcome: str | None = None
        self.reason: str | None = None
        self._known = known
        self._open_books = open_books
        self._stack = ExitStack()
        self._columns = {name: array("d") for name in COLUMNS}
        self._kept = 0
        self._lock = threading.Lock()
        self.monitor: DivergenceMonitor | None = None
        self._validation = math.nan
        self._untrained_validation = math.nan if known.untrained_validation is None else known.untrained_validation
        self._metrics: dict[str, float] = {}
        if known.untrained is not None:
            self._watch(known.untrained)

    @property
    def number(self) -> int:
        """Of the trial in its study."""
        return self._books.number

    @property
    def steps(self) -> int:
        """How many were made, up to a divergence."""
        return len(self._columns["loss"])

    @property
    def diverged(self) -> bool:
        """Whether the run has diverged, or its untrained model has no finite loss: its loop should end."""
        return self.verdict is not None and self.verdict.outcome in ("diverged", "failed")

    def step(
        self,
        loss: SupportsFloat,
        *,
        grad_norm: SupportsFloat | None = None,
        applied_norm: SupportsFloat | None = None,
        learning_rate: float | None = None,
    ) -> bool:
        """Take in one step; what comes after a divergence is passed over.

        Args:
            loss: before the step, a number or a tensor of one.
            grad_norm: of the gradients before clipping, such as ``clip_grad_norm_`` returns it.
            applied_norm: after clipping.
            learning_rate: of the step, where it is another one than the run's.

        Returns:
            Whether the run goes on: False once it has diverged.

        Raises:
            RunDivergedError: it has diverged, and was to stop then; the ``with`` block ends by it, and nothing else.
        """
        if self.verdict is not None:
            return False
        numbers = (as_number(loss), _or_nan(grad_norm), _or_nan(applied_norm), learning_rate)
        monitor = self.monitor or self._watch(numbers[0])
        # Where nobody says a norm, only the loss can tell.
        verdict = monitor.observe(numbers[0], 0.0 if grad_norm is None else numbers[1])
        if not math.isfinite(monitor.initial_loss):
            verdict = Verdict("failed", "untrained_not_finite")
        rate = self._known.learning_rate if learning_rate is None else float(learning_rate)
        with self._lock:
            for column, number in zip(self._columns.values(), (*numbers[:3], rate), strict=True):
                column.append(number)
        self.verdict = verdict
        if verdict is not None and self._known.stop:
            raise RunDivergedError(f"the run has {verdict.outcome} at step {self.steps - 1}: {verdict.reason}")
        return verdict is None

    def validation(self, loss: SupportsFloat, **metrics: SupportsFloat) -> None:
        """Take in a validation loss, with what else was measured: before the first step that of the untrained model.

        The last one counts.
        """
        if not self.steps:
            self._untrained_validation = as_number(loss)
        self._validation = as_number(loss)
        self._metrics = {name: as_number(value) for name, value in metrics.items()}

    def __enter__(self) -> Self:
        with self._stack:
            self._books = self._open_books()
            self._stack.callback(self._books.close)
            self._stack = self._stack.pop_all()
        self._started = time.monotonic()
        self._beating = ExitStack()
        self._beating.enter_context(in_background("recorder", self._beat))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, where: TracebackType | None
    ) -> bool:
        with self._stack:
            self._beating.close()
            telemetry = self._telemetry()
            ending = end_of(self.verdict, self.monitor, telemetry, self._known.steps, raised)
            self.outcome, self.reason = str(ending.outcome), ending.reason
            try:
                self._books.end(result_of(ending, self.monitor, telemetry), self._to_keep())
            except (ClaimLostError, KeyError):
                LOG.warning("the run is not recorded: its study was deleted meanwhile")
        return isinstance(raised, RunDivergedError) and self._known.stop

    def _watch(self, untrained: SupportsFloat | Sequence[SupportsFloat]) -> DivergenceMonitor:
        known = self._known
        self.monitor = DivergenceMonitor(untrained, loss=known.loss, guard=known.guard)
        return self.monitor

    def _beat(self, stop: threading.Event) -> None:
        """Show that the run is alive, and how far it is; what the database does not answer is written later."""
        while not stop.wait(HEARTBEAT_SECONDS):
            with suppress(*UNANSWERED, ClaimLostError):
                self._books.touch()
                steps = self._to_keep()
                self._books.keep(steps)
                self._kept = steps.first + np.size(steps.loss)

    def _to_keep(self) -> Steps:
        """The steps that are not written yet."""
        with self._lock:
            columns = {name: np.array(column[self._kept :]) for name, column in self._columns.items()}
        return Steps(first=self._kept, **columns)

    def _telemetry(self) -> RunTelemetry:
        loss, norm, applied, _ = (np.array(self._columns[name]) for name in COLUMNS)
        return RunTelemetry(
            loss=loss,
            grad_norm=norm,
            applied_norm=applied,
            validation=self._validation,
            untrained_validation=self._untrained_validation,
            metrics=self._metrics,
            seconds=time.monotonic() - self._started,
        )


def _or_nan(given: SupportsFloat | None) -> float:
    return math.nan if given is None else as_number(given)
