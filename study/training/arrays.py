"""Trials in the slots of an array: each from its first step to its result."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Generic, TypeVar

import torch

from gradstudy.models.array import TrainingRun, TrialArray
from gradstudy.models.schedules import Schedule
from gradstudy.models.strategies import STRATEGIES
from gradstudy.models.telemetry import Telemetry
from gradstudy.models.trainable import Trainable
from gradstudy.models.user_module.array import ModuleArray
from gradstudy.models.user_module.batching import Batching, try_batching
from gradstudy.models.user_module.loading import UserModule
from gradstudy.models.workspace import Workspace
from gradstudy.storage.results import TrialResult
from gradstudy.study.divergence import DivergenceMonitor, Verdict
from gradstudy.study.search.space import Setting
from gradstudy.study.spec.parts import CellName
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.checkpoint import Checkpoint, CheckpointError, to_bytes
from gradstudy.study.training.data import model_shape
from gradstudy.study.training.device import check_precision
from gradstudy.study.training.trial import Newcomer, Trial

Key = TypeVar("Key")

BLOCK = 10
"""Steps between two looks at the losses: a diverged trial trains this many steps in vain at most."""


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

    def __init__(self, array: TrialArray | ModuleArray, spec: StudySpec) -> None:
        self.array = array
        self.keys: list[Key] = []
        self._spec = spec
        self._trials: list[Trial] = []

    def admit(
        self,
        key: Key,
        setting: Setting,
        seed: int,
        hyperparameters: Mapping[str, float] = MappingProxyType({}),
        states: Sequence[bytes] = (),
    ) -> int:
        """Put a trial into a free slot, see ``Newcomer``, and return the step that it goes on from."""
        self.admit_all([Newcomer(key, setting, seed, hyperparameters, states)])
        return self._trials[-1].monitor.steps

    def admit_all(self, newcomers: Sequence[Newcomer[Key]]) -> None:
        """Put trials into free slots; measure the untrained models of those that do not go on from where they were."""
        begun = [(each.key, each.run) for each in newcomers if not self._has_resumed(each)]
        runs, array = [run for _, run in begun], self.array
        slots = array.admit_all(runs) if isinstance(array, ModuleArray) else [array.admit(run) for run in runs]
        for slot, (key, run) in zip(slots, begun, strict=True):
            monitor = DivergenceMonitor(
                self.array.initial_losses(slot),
                self._spec.divergence,
                loss=self._spec.trained_loss,
                guard=skips_steps(self.array, run),
            )
            self.take_up(key, Trial(run, monitor, self.array.validation_loss(slot), self._spec.learning_rates))

    def _has_resumed(self, newcomer: Newcomer[Key]) -> bool:
        """Whether a trial goes on from one of its states."""
        for state in newcomer.states:
            with suppress(CheckpointError):
                self._resume(newcomer.key, newcomer.run, Checkpoint(state))
                return True
        return False

    def _resume(self, key: Key, run: TrainingRun, checkpoint: Checkpoint) -> None:
        """Put a trial into a free slot as it was; raises CheckpointError where that is of another model."""
        slot = self.array.admit(run)
        try:
            self.array.restore(slot, checkpoint.slot)
        except (Exception, SystemExit) as error:  # of the user's code, too
            self.array.evict(slot)
            raise CheckpointError(str(error)) from None
        guard = skips_steps(self.array, run)
        monitor = DivergenceMonitor(math.nan, self._spec.divergence, loss=self._spec.trained_loss, guard=guard)
        trial = Trial(run, monitor, math.nan, self._spec.learning_rates)
        checkpoint.take_up(trial)
        self.take_up(key, trial)

    def steps(self) -> list[tuple[Key, int]]:
        """How many steps each trial has made."""
        return [(key, trial.monitor.steps) for key, trial in zip(self.keys, self._trials, strict=True)]

    def state(self, key: Key) -> bytes | None:
        """The state of a trial, see ``checkpoint``; None where it cannot be gone on from."""
        slot = self._slot(key)
        state = self.array.state(slot)
        return None if state is None else to_bytes(self._trials[slot], state)

    def take_up(self, key: Key, trial: Trial) -> None:
        """Train on, from where its monitor is, a trial that the array has in the next slot."""
        self._trials.append(trial)
        self.keys.append(key)

    def advance(self, most: int = BLOCK) -> list[Ended[Key]]:
        """Train every trial for a block of steps, at most so many; those that are through leave their slots."""
        left = min(self._spec.steps - trial.monitor.steps for trial in self._trials)
        telemetry = self.array.train(min(most, left))
        ended = []
        # From the last slot to the first: a slot that is freed is filled with the last one, which is done.
        for slot in range(len(self._trials) - 1, -1, -1):
            trial = self._trials[slot]
            result = self._result(slot, trial, telemetry)
            if result:
                ended.append(Ended(self._evict(slot), trial, result))
        return ended

    def _result(self, slot: int, trial: Trial, telemetry: Telemetry) -> TrialResult | None:
        """The result of a trial that is through after this block of steps."""
        if slot in self.array.failures:
            return trial.failed(self.array.failures[slot])
        if self._spec.divergence.version > 1 and (cause := trial.untrained_not_finite()):
            return trial.failed(cause, "untrained_not_finite")
        verdict = trial.observe(telemetry, slot)
        if verdict is not None:
            return trial.result(verdict, math.nan)
        if trial.monitor.steps < self._spec.steps:
            return None
        validation_loss = self.array.validation_loss(slot)
        verdict = trial.monitor.finish(validation_loss, trial.initial_validation_loss)
        diverged = verdict.outcome == "diverged"
        metrics = {} if diverged or isinstance(self.array, TrialArray) else self.array.metrics(slot)
        if slot in self.array.failures:
            return trial.failed(self.array.failures[slot])
        return trial.result(verdict, math.nan if diverged else validation_loss, metrics)

    def at_rungs(self, distance: int) -> list[tuple[Key, int, float]]:
        """Each trial that passed a multiple of ``distance`` in its last block: key, that step, smoothed loss."""
        found = []
        for key, trial in zip(self.keys, self._trials, strict=True):
            steps, last = trial.monitor.steps, len(trial.blocks[-1].loss) if trial.blocks else 0
            if steps // distance > (steps - last) // distance and math.isfinite(trial.monitor.smoothed_loss):
                found.append((key, steps // distance * distance, trial.monitor.smoothed_loss))
        return found

    def prune(self, key: Key) -> Ended[Key]:
        """End a trial before its time."""
        slot = self._slot(key)
        trial = self._trials[slot]
        return Ended(self._evict(slot), trial, trial.result(Verdict("pruned"), math.nan))

    def _slot(self, key: Key) -> int:
        return next(slot for slot, held in enumerate(self.keys) if held is key)

    def _evict(self, slot: int) -> Key:
        self.array.evict(slot)
        key = self.keys[slot]
        self.keys[slot] = self.keys[-1]
        self._trials[slot] = self._trials[-1]
        self.keys.pop()
        self._trials.pop()
        return key


def skips_steps(array: TrialArray | ModuleArray, run: TrainingRun) -> bool:
    """Whether a step that is not finite is skipped in a run: by the array's guard, or by its strategy."""
    return array.guard or STRATEGIES[run.strategy].skips


def make_workspace(spec: StudySpec, device: str) -> Workspace:
    """A workspace for arrays of the precision of a study, or of one of its variations.

    Raises:
        DeviceError: the device does not compute in it.
    """
    check_precision(spec, device)
    return Workspace(getattr(torch, spec.precision), torch.device(device))


def batching(spec: StudySpec, cell: CellName, task: UserModule, device: str) -> Batching:
    """Whether the user's module can be trained many at a time, which is tried once."""
    return _tried(task, cell, spec.batch_size, torch.device(device), _draws(spec))


def _draws(spec: StudySpec) -> int | None:
    """The seed of the draws that trials of the user's module share; None where each draws for itself."""
    return None if spec.own_draws else spec.seed


def make_array(
    spec: StudySpec,
    cell: CellName,
    data: Trainable,
    slots: int,
    workspace: Workspace,
    schedule: Schedule | None = None,
) -> TrialArray | ModuleArray:
    """An array for the trials of one cell of a study; what a study varies is set in ``spec`` and ``data``.

    Learning rates go by the study's schedule where none is given.
    """
    schedule = schedule or spec.learning_rates
    if isinstance(data, UserModule):
        tried = batching(spec, cell, data, str(workspace.device))
        return ModuleArray(
            data,
            cell,
            device=workspace.device,
            batched=tried.batched,
            slots=slots,
            batch_size=spec.batch_size,
            optimizer=None if spec.optimizer == "own" else spec.named_optimizer,
            schedule=schedule,
            guard=spec.guard,
            shared_draws=_draws(spec),
            padding=tried.padding,
        )
    return TrialArray(
        model_shape(spec, cell, data),
        data,
        slots=slots,
        batch_size=spec.batch_size,
        optimizer=spec.named_optimizer,
        schedule=schedule,
        guard=spec.guard,
        workspace=workspace,
    )


@cache
def _tried(task: UserModule, cell: str, batch_size: int, device: torch.device, shared_draws: int | None) -> Batching:
    return try_batching(task, cell, batch_size, device, shared_draws)
