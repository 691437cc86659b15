"""The course of a trial that is trained again: what it did at each step, until it diverged or ended."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradstudy.models.array import TrainingRun, TrialArray
from gradstudy.models.gradient_scales import gradient_scales
from gradstudy.models.trainable import Trainable
from gradstudy.models.user_module.array import ModuleArray
from gradstudy.models.workspace import Workspace
from gradstudy.study.divergence import DivergenceMonitor, Verdict
from gradstudy.study.errors import TrialsFailError
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.arrays import BLOCK, make_array, skips_steps
from gradstudy.study.training.recorded_trial import RecordedTrial


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a trial did; T steps.

    Attributes:
        verdict: how it ended.
        guarded: whether it skipped steps that are not finite.
        initial_losses: of the untrained model, on each of the first batches.
        untrained: the validation loss of the untrained model.
        losses: before each step, [T].
        norms: of the gradients before clipping, [T].
        smoothed: the smoothed loss after each step, [T].
        noise: how far that may lie from the untrained loss by chance, [T].
        scales: of the gradients before clipping, [T, len(SCALES)].
    """

    verdict: Verdict
    guarded: bool
    initial_losses: list[float]
    untrained: float
    losses: NDArray[np.float64]
    norms: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    noise: NDArray[np.float64]
    scales: NDArray[np.float64]

    def monitor_at(self, step: int, spec: StudySpec) -> DivergenceMonitor:
        """The monitor of the trial after so many steps."""
        monitor = _monitor(self.initial_losses, spec, guard=self.guarded)
        monitor.observe_all(self.losses[:step], self.norms[:step])
        return monitor


def follow(trial: RecordedTrial, data: Trainable, workspace: Workspace) -> Course:
    """Train a trial again, alone in an array, and look at each of its steps.

    Raises:
        TrialsFailError: the user's own code fails.
    """
    spec = trial.spec
    array = begin(trial, data, workspace)
    initial_losses, untrained = array.initial_losses(0), array.validation_loss(0)
    guarded = skips_steps(array, own_run(trial))
    monitor = _monitor(initial_losses, spec, guard=guarded)
    seen: list[Tensor] = []
    array.watch = lambda *given: seen.append(gradient_scales(*given[:3]))
    verdict: Verdict | None = None
    rows: list[tuple[float, float, float, float]] = []
    while verdict is None and monitor.steps < spec.steps:
        block = array.train(min(BLOCK, spec.steps - monitor.steps))
        for loss, norm in zip(block.loss[:, 0], block.grad_norm[:, 0], strict=True):
            verdict = monitor.observe(loss, norm)
            rows.append((loss, norm, monitor.smoothed_loss, monitor.noise))
            if verdict is not None:
                break
    if verdict is None:
        verdict = monitor.finish(array.validation_loss(0), untrained)
    if array.failures:
        raise TrialsFailError(1, array.failures[0])
    losses, norms, smoothed, noise = np.array(rows).T
    return Course(
        verdict=verdict,
        guarded=guarded,
        initial_losses=initial_losses,
        untrained=untrained,
        losses=losses,
        norms=norms,
        smoothed=smoothed,
        noise=noise,
        scales=torch.cat(seen)[: len(rows)].cpu().double().numpy(),
    )


def begin(trial: RecordedTrial, data: Trainable, workspace: Workspace) -> TrialArray | ModuleArray:
    """A trial before its first step, alone in an array."""
    array = make_array(trial.spec, trial.setting.cell, data, 1, workspace)
    array.admit(own_run(trial))
    return array


def own_run(trial: RecordedTrial) -> TrainingRun:
    """What makes a trial's training what it was."""
    setting = trial.setting
    return TrainingRun(
        seed=trial.seed, strategy=setting.strategy, threshold=setting.threshold, learning_rate=setting.learning_rate
    )


def _monitor(initial_losses: list[float], spec: StudySpec, *, guard: bool) -> DivergenceMonitor:
    """A monitor of a trial of a study before its first step."""
    return DivergenceMonitor(initial_losses, spec.divergence, loss=spec.trained_loss, guard=guard)
