"""What is to be said of one run of a log."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from gradstudy.study.diagnosis.attempt import Judged
from gradstudy.study.diagnosis.baseline import Baseline
from gradstudy.study.diagnosis.learning_rates import RateCourse, rate_course
from gradstudy.study.diagnosis.series import Series, Spike
from gradstudy.study.integrations.logs.columns import Columns, is_epoch
from gradstudy.study.wording import three_digits

FEWEST_NORMS = 10
"""From which a threshold is suggested."""
SUGGESTED = 0.9
"""Quantile of the norms: Deep Learning Tuning Playbook, "How should I use gradient clipping"."""
SAME = 1e-3
CLIPPED_SHARE = 0.2
"""Of norms that lie within ``SAME`` of the largest one, for them to have been logged after clipping."""
BEYOND = 5.0
"""Times the median of the norms before the first bad step: beyond it the norm has left its range."""
SUDDEN = 2.0
"""Times the lowest loss below which the loss was still well at the last good step."""

First = Literal["loss", "gradient", "both"]


@dataclass(frozen=True, kw_only=True)
class Norms:
    """Norms of the gradient over the healthy steps.

    Attributes:
        median: of them.
        p90: their 90th percentile.
        largest: of them.
        clipped_at: what they seem to have been clipped at before they were logged; None where they were not.
        threshold: that they suggest for clipping by norm; None where they are too few or were clipped.
    """

    median: float
    p90: float
    largest: float
    clipped_at: float | None
    threshold: float | None


@dataclass(frozen=True, kw_only=True)
class RunDiagnosis:
    """What a run's log says.

    Attributes:
        name: of the run.
        columns: that were read.
        judged: how it ended.
        base: where it began.
        losses: over the steps, thinned; so are norms and rates.
        norms: of the gradient.
        rates: learning rates.
        loss_spikes: steps and losses far above those before them.
        norm_spikes: steps and norms of that kind.
        skipped: steps with a loss or a norm that was not finite, after which the run went on.
        zero_since: the step from which on the loss is exactly 0, to the end.
        norm_lost_since: the step from which on no norm is finite.
        beyond_and_back: a step at which the loss was beyond the limit and came back.
        ended_attempts: first bad steps of earlier attempts, and the steps that the run went back to.
        validation_not_finite: the first step with such a loss of validation.
        last_step: in the log.
    """

    name: str
    columns: Columns
    judged: Judged
    base: Baseline
    losses: Series = field(repr=False)
    norms: Series = field(repr=False)
    rates: Series = field(repr=False)
    loss_spikes: Sequence[Spike]
    norm_spikes: Sequence[Spike]
    skipped: int
    zero_since: float | None
    norm_lost_since: float | None
    beyond_and_back: float | None
    ended_attempts: tuple[tuple[float, float], ...]
    validation_not_finite: float | None
    last_step: float

    @property
    def is_bad(self) -> bool:
        """Whether it diverged, or never had a finite loss."""
        return self.judged.outcome in ("diverged", "failed")

    @property
    def unit(self) -> str:
        """What its steps are called."""
        return "epoch" if self.columns.step is not None and is_epoch(self.columns.step) else "step"

    @property
    def first_step(self) -> float:
        """The first one in the log."""
        return self.losses.steps[0] if self.losses.steps else 0.0

    @property
    def spacing(self) -> float:
        """Steps from one loss of the log to the next."""
        return self.losses.spacing

    @cached_property
    def spikes(self) -> list[Spike]:
        """Of the loss, while the run was well."""
        return _before(self.loss_spikes, self.judged.first_bad)

    @cached_property
    def spikes_of_norm(self) -> list[Spike]:
        """Of the norm, while the run was well."""
        return _before(self.norm_spikes, self.judged.first_bad)

    @cached_property
    def healthy_norms(self) -> Norms | None:
        """Of the steps before the first bad one; None without any."""
        values = self.norms.before(self.judged.first_bad)
        if not len(values):
            return None
        median, p90, largest = (float(each) for each in np.quantile(values, [0.5, SUGGESTED, 1.0]))
        at_largest = float(np.mean(values >= largest * (1 - SAME)))
        is_clipped = len(values) >= FEWEST_NORMS and at_largest >= CLIPPED_SHARE and float(values.min()) > 0
        known = len(values) >= FEWEST_NORMS and not is_clipped and p90 > 0
        return Norms(
            median=median,
            p90=p90,
            largest=largest,
            clipped_at=three_digits(largest) if is_clipped else None,
            threshold=three_digits(p90) if known else None,
        )

    @cached_property
    def norm_left_at(self) -> float | None:
        """The step at which the gradient's norm left its range, not to come back before the first bad one, or after it.

        None where it did not, or nothing went wrong.
        """
        bad = self.judged.first_bad
        if bad is None or not self.norms.seen:
            return None
        left = [spike.step for spike in self.norm_spikes if spike.until >= bad - self.norms.spacing]
        if self.norm_lost_since is not None:
            left.append(self.norm_lost_since)
        if self.norms.every == 1:  # every point is known, and the usual ones may be too few to find spikes among them
            left += self._norms_beyond(bad)
        return min(left, default=None)

    def _norms_beyond(self, bad: float) -> list[float]:
        """Where the norms that lead to the first bad step, or follow it, left their range."""
        usual = self.norms.before(bad)
        if not len(usual):
            return []
        limit = BEYOND * float(np.median(usual))
        points = list(zip(self.norms.steps, self.norms.values, strict=True))
        is_beyond = [not math.isfinite(norm) or norm > limit for _, norm in points]
        place = next((place for place, (step, _) in enumerate(points) if step >= bad), len(points))
        later = [points[each][0] for each in range(place, len(points)) if is_beyond[each]][:1]
        while place > 0 and is_beyond[place - 1]:
            place -= 1
            later = [points[place][0]]
        return later

    @property
    def went_first(self) -> First | None:
        """Whether loss or gradient went first; None where no norm is logged or nothing went wrong."""
        bad, left = self.judged.first_bad, self.norm_left_at
        if bad is None or not self.norms.seen or not self.is_bad:
            return None
        if left is None or left > bad:
            return "loss"
        return "gradient" if left < bad else "both"

    @property
    def is_sudden(self) -> bool:
        """Whether all was well until the loss or the gradient was not finite: a batch does that, a rate rarely."""
        at_once = self.judged.reason == "non_finite_gradient" or self.judged.not_finite_since == self.judged.first_bad
        return self.broke_at is not None and at_once and self.went_first != "gradient"

    @property
    def broke_at(self) -> float | None:
        """The first bad step of a run that was well until then; None for one that was never well, or is."""
        is_later = self.judged.first_bad is not None and self.judged.first_bad > self.first_step
        return self.judged.first_bad if self.is_bad and is_later and self._was_well_before else None

    @property
    def _was_well_before(self) -> bool:
        values = self.losses.before(self.judged.first_bad)
        return bool(len(values)) and float(values[-1]) <= max(SUDDEN * self.judged.lowest, self.base.untrained)

    @cached_property
    def course_of_rate(self) -> RateCourse | None:
        """How the learning rate went; None where it is not logged."""
        return rate_course(self.rates)

    @property
    def bad_rate(self) -> float | None:
        """The learning rate of the last step before the first bad one, or of the log; None where it is not logged."""
        steps, values = self.rates.steps, self.rates.values
        if not values:
            return None
        bad = self.judged.first_bad
        before = [value for step, value in zip(steps, values, strict=True) if bad is None or step < bad]
        return before[-1] if before else values[0]


def _before(points: Sequence[Spike], step: float | None) -> list[Spike]:
    return [point for point in points if step is None or point.step < step]
