"""One trial while it is being trained, and what becomes of it."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from gradstudy.models.array import TrainingRun
from gradstudy.models.schedules import Schedule
from gradstudy.models.telemetry import Telemetry
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.study.divergence import DivergenceMonitor, Verdict
from gradstudy.study.search.space import Setting
from gradstudy.study.training.summary import objective_of, spikes, summarize_gradients
from gradstudy.study.wording import not_finite

Key = TypeVar("Key")

EXCEPTION = "exception"
"""The reason of a trial that failed because the user's code did."""


@dataclass(frozen=True)
class Newcomer(Generic[Key]):
    """A trial that is to be trained.

    Attributes:
        key: which the trial is known by.
        setting: of the trial.
        seed: of the trial.
        hyperparameters: of its optimizer, that differ from those of the array.
        states: of the same trial, see ``Slots.state``; it goes on from the first that can be read.
    """

    key: Key
    setting: Setting
    seed: int
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    states: Sequence[bytes] = ()

    @property
    def run(self) -> TrainingRun:
        """What makes its training what it is."""
        return TrainingRun(
            seed=self.seed,
            strategy=self.setting.strategy,
            threshold=self.setting.threshold,
            learning_rate=self.setting.learning_rate,
            hyperparameters=self.hyperparameters,
        )


@dataclass
class Trial:
    """A trial that is being trained in a slot of an array; ``seconds_before`` it was trained by other workers."""

    run: TrainingRun
    monitor: DivergenceMonitor
    initial_validation_loss: float
    schedule: Schedule
    started: float = field(default_factory=time.monotonic)
    seconds_before: float = 0.0
    blocks: list[Telemetry] = field(default_factory=list)

    def observe(self, telemetry: Telemetry, slot: int) -> Verdict | None:
        """Take in a block of steps; what comes after a divergence is forgotten."""
        before = self.monitor.steps
        verdict = self.monitor.observe_all(telemetry.loss[:, slot], telemetry.grad_norm[:, slot])
        self.blocks.append(telemetry.of_slot(slot, self.monitor.steps - before))
        return verdict

    @property
    def seconds(self) -> float:
        """How long it has been trained."""
        return self.seconds_before + time.monotonic() - self.started

    def learning_rates(self) -> NDArray[np.float64]:
        """That of each step so far, [steps]."""
        return self.run.learning_rate * self.schedule.factors()[: self.monitor.steps]

    def telemetry(self) -> Telemetry:
        """Every step so far; each array is [steps]."""
        return Telemetry.concatenated(self.blocks) if self.blocks else Telemetry.none()

    def untrained_not_finite(self) -> str | None:
        """What is wrong with a trial whose untrained model has no finite loss, so that no setting can mend it."""
        measured = {
            "training": self.monitor.initial_loss,
            "validation": self.initial_validation_loss,
        }
        bad = [name for name, loss in measured.items() if not math.isfinite(loss)]
        if not bad:
            return None
        return (
            f"{not_finite(bad)}: look at the {bad[0]} data and the loss, as no learning rate, threshold or strategy "
            "mends that"
        )

    def failed(self, error: str, reason: str = EXCEPTION) -> TrialResult:
        """The result of a trial that failed, with what is known of the cause; steps are those before its last block."""
        return self._ended(Outcome.FAILED, reason, error=error)

    def result(
        self, verdict: Verdict, validation_loss: float, metrics: Mapping[str, float] | None = None
    ) -> TrialResult:
        """The trial's result; ``validation_loss`` is NaN for a diverged trial, which has no metrics.

        The objective is that of ``objective_of``.
        """
        telemetry = self.telemetry()
        gradients = summarize_gradients(telemetry.grad_norm, telemetry.clipped)
        outcome = Outcome(verdict.outcome)
        return self._ended(
            outcome,
            verdict.reason,
            diverged_at_step=verdict.step,
            validation_loss=validation_loss,
            objective=objective_of(outcome, validation_loss, self.initial_validation_loss),
            grad_norm_p50=gradients.p50,
            grad_norm_p90=gradients.p90,
            grad_norm_max=gradients.largest,
            clipped_fraction=gradients.clipped_fraction,
            spikes=len(spikes(telemetry.loss)),
            skipped_steps=self.monitor.skipped_steps,
            metrics=metrics or None,
        )

    def _ended(self, outcome: Outcome, reason: str | None, **more: Any) -> TrialResult:
        """The result with what is known of every trial."""
        return TrialResult(
            outcome=outcome,
            reason=reason,
            steps=self.monitor.steps,
            initial_loss=self.monitor.initial_loss,
            final_loss=self.monitor.smoothed_loss,
            initial_validation_loss=self.initial_validation_loss,
            seconds=self.seconds,
            **more,
        )
