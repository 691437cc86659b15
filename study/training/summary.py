"""What is kept of a trial's telemetry once it has ended."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gradstudy.storage.results import Outcome
from gradstudy.study.spec.parts import ALL, NONE, KeptSteps, kept_every

SPIKE_SIGMAS = 6.0
"""A spike is a loss more than this many standard deviations above the mean of the losses before it (OLMo-core)."""
SPIKE_WINDOW = 128
"""How many losses before it that mean and deviation are taken over (OLMo-core)."""


@dataclass(frozen=True, kw_only=True)
class GradientSummary:
    """Gradient norms before clipping, over the steps at which they were finite; None when there were none.

    Attributes:
        p50: median.
        p90: 90th percentile.
        largest: maximum.
        clipped_fraction: share of all steps whose gradient the strategy changed.
    """

    p50: float | None
    p90: float | None
    largest: float | None
    clipped_fraction: float | None


def summarize_gradients(grad_norm: NDArray[np.float64], clipped: NDArray[np.bool_]) -> GradientSummary:
    """Summarize a trial's norms [steps] and whether each step was clipped [steps]."""
    finite = grad_norm[np.isfinite(grad_norm)]
    if not finite.size:
        return GradientSummary(p50=None, p90=None, largest=None, clipped_fraction=None)
    p50, p90 = np.percentile(finite, [50, 90])
    return GradientSummary(
        p50=float(p50), p90=float(p90), largest=float(finite.max()), clipped_fraction=float(clipped.mean())
    )


def objective_of(outcome: Outcome, validation_loss: float, untrained: float) -> float | None:
    """What Optuna is told: the validation loss, at most that of the untrained model, which a diverged run gets.

    None of a run that was pruned.
    """
    if outcome is Outcome.PRUNED:
        return None
    return validation_loss if outcome is not Outcome.DIVERGED and validation_loss < untrained else untrained


def spikes(losses: NDArray[np.float64]) -> NDArray[np.int64]:
    """At which steps a finite loss, of losses [steps], lies more than 6 sigma above the mean of the 128 before it."""
    steps = np.flatnonzero(np.isfinite(losses))
    if len(steps) <= SPIKE_WINDOW:
        return steps[:0]
    finite = losses[steps]
    before = sliding_window_view(finite, SPIKE_WINDOW)[:-1]
    found: NDArray[np.int64] = steps[SPIKE_WINDOW:][
        finite[SPIKE_WINDOW:] > before.mean(1) + SPIKE_SIGMAS * before.std(1)
    ]
    return found


def steps_to_keep(
    keep: KeptSteps, steps: int, losses: NDArray[np.float64], diverged_at: int | None
) -> NDArray[np.int64]:
    """The numbers of the steps that are kept, ascending.

    Every spike, the first loss that is not finite and the step at which the trial diverged are always among them, and
    the last one.

    Args:
        keep: how many.
        steps: of a trial that comes to its end.
        losses: of the trial, for each step that it made.
        diverged_at: the step at which it diverged; None for one that did not.
    """
    made = np.arange(len(losses))
    if keep == ALL or not len(losses):
        return made
    bad = np.flatnonzero(~np.isfinite(losses))[:1]
    ends = [len(losses) - 1] + ([] if diverged_at is None else [min(diverged_at, len(losses) - 1)])
    spaced = made[:0] if keep == NONE else made[:: kept_every(keep, steps)]
    return np.unique(np.concatenate([spaced, spikes(losses), bad, ends]))
