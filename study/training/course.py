"""The course of a trial that is trained again: what it did at each step, until it diverged or ended."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradstudy.models.array import TrainingRun, TrialArray
from gradstudy.models.gradient_scales import gradient_scales
from gradstudy.models.tasks.batches import TaskData
from gradstudy.models.workspace import Workspace
from gradstudy.study.divergence import DivergenceMonitor, Verdict
from gradstudy.study.training.arrays import BLOCK, make_trial_array
from gradstudy.study.training.recorded_trial import RecordedTrial


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a trial did; T steps.

    Attributes:
        verdict: how it ended.
        initial_loss: of the untrained model.
        untrained: the validation loss of that.
        finite: whether loss and gradient were finite, [T].
        smoothed: the smoothed loss after each step, [T].
        noise: how far that may lie from the untrained loss by chance, [T].
        scales: of the gradients before clipping, [T, len(SCALES)].
    """

    verdict: Verdict
    initial_loss: float
    untrained: float
    finite: NDArray[np.bool_]
    smoothed: NDArray[np.float64]
    noise: NDArray[np.float64]
    scales: NDArray[np.float64]


def follow(trial: RecordedTrial, data: TaskData, workspace: Workspace) -> Course:
    """Train a trial again, alone in an array, and look at each of its steps."""
    array, monitor, untrained = begin(trial, data, workspace)
    seen: list[Tensor] = []
    array.watch = lambda *given: seen.append(gradient_scales(*given))
    verdict: Verdict | None = None
    rows: list[tuple[float, float, float]] = []
    while verdict is None and monitor.steps < trial.spec.steps:
        block = array.train(min(BLOCK, trial.spec.steps - monitor.steps))
        for loss, norm in zip(block.loss[:, 0], block.grad_norm[:, 0], strict=True):
            verdict = monitor.observe(loss, norm)
            rows.append((np.isfinite(loss + norm), monitor.smoothed_loss, monitor.noise))
            if verdict is not None:
                break
    if verdict is None:
        verdict = monitor.finish(array.validation_loss(0), untrained)
    finite, smoothed, noise = np.array(rows).T
    return Course(
        verdict=verdict,
        initial_loss=monitor.initial_loss,
        untrained=untrained,
        finite=finite.astype(bool),
        smoothed=smoothed,
        noise=noise,
        scales=torch.cat(seen)[: len(rows)].cpu().double().numpy(),
    )


def begin(trial: RecordedTrial, data: TaskData, workspace: Workspace) -> tuple[TrialArray, DivergenceMonitor, float]:
    """A trial before its first step, alone in an array, with its monitor and its untrained validation loss."""
    spec, setting = trial.spec, trial.setting
    array = make_trial_array(spec, setting.cell, data, 1, workspace, spec.learning_rates)
    slot = array.admit(
        TrainingRun(
            seed=trial.seed,
            strategy=setting.strategy,
            threshold=setting.threshold,
            learning_rate=setting.learning_rate,
        )
    )
    monitor = DivergenceMonitor(array.initial_losses(slot), spec.divergence, loss=spec.trained_loss, guard=spec.guard)
    return array, monitor, array.validation_loss(slot)
