"""Which of a trial's steps are kept once it has ended: all, evenly spaced ones, or only those that stand out."""

import numpy as np
from numpy.typing import NDArray

from gradstudy.study.spec.kept_steps import ALL, NONE, KeptSteps, kept_every
from gradstudy.study.training.summary import spikes


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
