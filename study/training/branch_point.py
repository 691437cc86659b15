"""From which step a trial that diverged can still be saved."""

from dataclasses import dataclass

import numpy as np

from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.course import Course


@dataclass(frozen=True, kw_only=True)
class BranchPoint:
    """Where to branch from a trial.

    Attributes:
        step: that is not taken any more as the trial took it, counted from 0.
        first_bad: the first step after which the smoothed loss was never again near its lowest.
        lowest: smoothed loss before that, or the untrained loss where that was lower.
    """

    step: int
    first_bad: int
    lowest: float

    @property
    def reason(self) -> str:
        """Why there, one sentence."""
        if self.first_bad == 0:
            return "From its first step on the trial was worse than untrained, so that all begin anew, untrained."
        good = (
            f"Step {self.first_bad - 1} is the last one at which the smoothed loss was within noise of its lowest, "
            f"{self.lowest:.3g}"
        )
        if self.step == 0:
            return f"{good}: so soon that all begin anew, untrained."
        return f"{good}; the state is that of {self.first_bad - self.step} steps before the next one."


def branch_point(course: Course, spec: StudySpec) -> BranchPoint:
    """Where to branch from a trial with this course.

    A step is good while the smoothed loss is within noise of its lowest (or of the untrained loss, where no step was
    better). The first one after the last good step is bad. What made it bad may lie before it: the smoothed loss looks
    back by its half-life, and so far before the first bad step the state is taken.
    """
    initial_loss = course.monitor_at(0, spec).initial_loss
    lowest = min(initial_loss, float(np.nanmin(course.smoothed, initial=np.inf)))
    is_good = np.isfinite(course.losses + course.norms) & (course.smoothed <= lowest + course.noise)
    good = np.flatnonzero(is_good)
    first_bad = int(good[-1]) + 1 if good.size else 0
    back = round(spec.divergence.half_life)
    return BranchPoint(step=max(0, first_bad - back), first_bad=first_bad, lowest=lowest)
