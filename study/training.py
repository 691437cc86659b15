"""Trials in the slots of an array: each from its first step to its result."""

import math
import time
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch

from gradstudy.models.array import Telemetry, TrainingRun, TrialArray
from gradstudy.models.seq2seq import ModelShape
from gradstudy.models.tasks.data import TaskData
from gradstudy.models.workspace import Workspace
from gradstudy.storage.outcomes import Outcome
from gradstudy.storage.results import TrialResult
from gradstudy.study.divergence import DivergenceMonitor, Verdict
from gradstudy.study.space import Setting
from gradstudy.study.spec import CellName, StudySpec
from gradstudy.study.summary import count_spikes, summarize_gradients

Key = TypeVar("Key")

BLOCK = 10
"""Steps between two looks at the losses: a diverged trial trains this many steps in vain at most."""


@dataclass
class Trial:
    """A trial that is being trained in a slot of an array."""

    run: TrainingRun
    monitor: DivergenceMonitor
    initial_validation_loss: float
    started: float = field(default_factory=time.monotonic)
    blocks: list[Telemetry] = field(default_factory=list)

    def observe(self, telemetry: Telemetry, slot: int) -> Verdict | None:
        """Take in a block of steps; what comes after a divergence is forgotten."""
        before = self.monitor.steps
        verdict = self.monitor.observe_all(telemetry.loss[:, slot], telemetry.grad_norm[:, slot])
        self.blocks.append(telemetry.of_slot(slot, self.monitor.steps - before))
        return verdict

    def telemetry(self) -> Telemetry:
        """Every step so far; each array is [steps]."""
        return Telemetry.concatenated(self.blocks)

    def result(self, verdict: Verdict, validation_loss: float) -> TrialResult:
        """The trial's result; ``validation_loss`` is NaN for a diverged trial.

        The objective is the validation loss, at most that of the untrained model, which a diverged trial gets.
        """
        monitor = self.monitor
        telemetry = self.telemetry()
        gradients = summarize_gradients(telemetry.grad_norm, telemetry.clipped)
        objective = self.initial_validation_loss
        if verdict.outcome != "diverged" and validation_loss < objective:
            objective = validation_loss
        return TrialResult(
            outcome=Outcome(verdict.outcome),
            reason=verdict.reason,
            diverged_at_step=verdict.step,
            steps=monitor.steps,
            initial_loss=monitor.initial_loss,
            final_loss=monitor.smoothed_loss,
            initial_validation_loss=self.initial_validation_loss,
            validation_loss=validation_loss,
            objective=objective,
            grad_norm_p50=gradients.p50,
            grad_norm_p90=gradients.p90,
            grad_norm_max=gradients.largest,
            clipped_fraction=gradients.clipped_fraction,
            spikes=count_spikes(telemetry.loss),
            skipped_steps=monitor.skipped_steps,
            seconds=time.monotonic() - self.started,
        )


@dataclass(frozen=True)
class Ended(Generic[Key]):
    """A trial that has left its slot.

    Attributes:
        key: what the trial was admitted with.
        trial: with its telemetry.
        result: the numbers that are kept.
    """

    key: Key
    trial: Trial
    result: TrialResult


class Slots(Generic[Key]):
    """A trial array with the trials in it, each known by the key that it was admitted with."""

    def __init__(self, array: TrialArray, spec: StudySpec) -> None:
        self.array = array
        self.keys: list[Key] = []
        self._spec = spec
        self._trials: list[Trial] = []

    def admit(self, key: Key, setting: Setting, seed: int) -> None:
        """Put a trial into a free slot and measure its untrained model."""
        run = TrainingRun(
            seed=seed,
            strategy=setting.strategy,
            threshold=setting.threshold,
            learning_rate=setting.learning_rate,
        )
        slot = self.array.admit(run)
        spec = self._spec
        monitor = DivergenceMonitor(
            self.array.initial_loss(slot), spec.divergence, loss=spec.trained_loss, guard=spec.guard
        )
        self._trials.append(Trial(run, monitor, self.array.validation_loss(slot)))
        self.keys.append(key)

    def advance(self) -> list[Ended[Key]]:
        """Train every trial for a block of steps; those that are through leave their slots."""
        left = min(self._spec.steps - trial.monitor.steps for trial in self._trials)
        telemetry = self.array.train(min(BLOCK, left))
        ended = []
        # From the last slot to the first: a slot that is freed is filled with the last one, which is done.
        for slot in range(len(self._trials) - 1, -1, -1):
            trial = self._trials[slot]
            verdict = trial.observe(telemetry, slot)
            if verdict is None and trial.monitor.steps == self._spec.steps:
                verdict = trial.monitor.finish()
            if verdict:
                diverged = verdict.outcome == "diverged"
                validation_loss = math.nan if diverged else self.array.validation_loss(slot)
                key = self._evict(slot)
                ended.append(Ended(key, trial, trial.result(verdict, validation_loss)))
        return ended

    def _evict(self, slot: int) -> Key:
        self.array.evict(slot)
        key = self.keys[slot]
        self.keys[slot] = self.keys[-1]
        self._trials[slot] = self._trials[-1]
        self.keys.pop()
        self._trials.pop()
        return key


def make_workspace(spec: StudySpec, device: str) -> Workspace:
    """A workspace for the arrays of a study."""
    return Workspace(getattr(torch, spec.precision), torch.device(device))


def model_shape(spec: StudySpec, cell: CellName, data: TaskData) -> ModelShape:
    """The models that a study trains with one cell."""
    model = spec.model
    return ModelShape(
        cell=cell,
        **data.sizes,
        embedding_size=model.embedding_size or model.hidden_size,
        hidden_size=model.hidden_size,
        layers=model.layers,
        attention=model.attention,
        dropout=model.dropout,
        decoder=data.decoder,
        loss=spec.trained_loss,
        forget_bias=model.forget_bias,
    )


def make_array(spec: StudySpec, cell: CellName, data: TaskData, slots: int, workspace: Workspace) -> TrialArray:
    """An array for the trials of one cell of a study; what a study varies is set in ``spec`` and ``data``."""
    return TrialArray(
        model_shape(spec, cell, data),
        data,
        slots=slots,
        batch_size=spec.batch_size,
        optimizer=spec.optimizer,
        steps=spec.steps,
        guard=spec.guard,
        workspace=workspace,
    )
