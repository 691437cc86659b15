"""One attempt at training, as its log shows it: from its beginning, or from where a run went back to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gradstudy.study.diagnosis.baseline import FEW, Baseline
from gradstudy.study.divergence import Outcome, Reason

RETAINED = 0.25
"""Share of what the validation loss had gained that it may have lost for a collapse to be none."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How an attempt ended.

    Attributes:
        outcome: as of a trial; failed where no loss was ever finite.
        reason: of a divergence or a failure.
        first_bad: the first step that is in the log from which on it never was well again; None where all was well.
        last_good: the step before that in the log; None where there is none.
        not_finite_since: the step from which on no loss is finite; None where the last one is.
        final: the smoothed loss at the end.
        lowest: the lowest smoothed loss.
    """

    outcome: Outcome
    reason: Reason | None = None
    first_bad: float | None = None
    last_good: float | None = None
    not_finite_since: float | None = None
    final: float = math.nan
    lowest: float = math.nan


class Attempt:
    """Losses, norms and validation losses of one attempt, one after the other, in constant memory.

    A log knows more than a study that watches: whether a run came back. What is not finite ends a run only when nothing
    finite follows, and a loss that rose beyond its limit only when it stayed there.
    """

    def __init__(self, base: Baseline, *, is_validation: bool) -> None:
        """Begin.

        Args:
            base: where the run began.
            is_validation: whether the losses are of validation, which may rise because a model overfits.
        """
        self.base = base
        self.monitor = base.monitor()
        self.finite = 0
        self.skipped = 0
        self.zero_since: float | None = None
        self.beyond_and_back: float | None = None
        self._is_validation = is_validation
        self._last_step: float | None = None
        self._lowest = math.inf
        self._beyond: float | None = None
        self._good: float | None = None
        self._bad: tuple[float, float | None] | None = None
        self._above: tuple[float, float | None] | None = None
        self._lost: tuple[float, float | None] | None = None
        self._lost_steps = 0
        self._loss_came_back = False
        self._lost_norm: tuple[float, float | None] | None = None
        self._lost_norms = 0
        self._norm_came_back = False
        self._last_norm_step: float | None = None

    def take_loss(self, step: float, loss: float) -> None:
        """Take in a loss.

        Bad points are remembered as the step where they began, with the last one before it.
        """
        before, self._last_step = self._last_step, step
        verdict = self.monitor.observe(loss, 0.0)
        if not math.isfinite(loss):
            self._lost = self._lost or (step, before)
            self._lost_steps += 1
            return
        if self._lost is not None:
            self.skipped += self._lost_steps
            self._lost, self._lost_steps, self._loss_came_back = None, 0, True
        self.finite += 1
        if loss == 0:
            self.zero_since = step if self.zero_since is None else self.zero_since
        else:
            self.zero_since = None
        smoothed = self.monitor.smoothed_loss
        if verdict is not None and verdict.reason == "blow_up":
            self._beyond = step if self._beyond is None else self._beyond
        elif self._beyond is not None:
            self.beyond_and_back, self._beyond = self._beyond, None
        lowest = min(self._lowest, self.base.untrained)
        if loss <= lowest and smoothed <= lowest:
            self._lowest, self._above, self._bad = smoothed, None, None
            return
        noise = self.monitor.noise
        if loss > lowest + noise:
            self._above = self._above or (step, before)
        else:
            self._above = None
        self._lowest = min(self._lowest, smoothed)
        if smoothed <= min(lowest, smoothed) + noise:
            self._bad = None
        elif self._bad is None:
            self._bad = self._above or (step, before)

    def take_norm(self, step: float, norm: float) -> None:
        """Take in the norm of a gradient."""
        before, self._last_norm_step = self._last_norm_step, step
        if math.isfinite(norm):
            self._norm_came_back |= self._lost_norm is not None
            self.skipped += self._lost_norms
            self._lost_norm, self._lost_norms = None, 0
        else:
            self._lost_norm = self._lost_norm or (step, before)
            self._lost_norms += 1

    @property
    def lost_norm_step(self) -> float | None:
        """Since when no norm was finite any more."""
        return None if self._lost_norm is None else self._lost_norm[0]

    def judge(self, validation: Sequence[float] = ()) -> Judged:
        """How it ended.

        Args:
            validation: the first, the lowest and the last loss of validation, where one is beside that of training.
        """
        if not self.finite:
            since = self._lost or (None, None)
            return Judged(outcome="failed", reason="untrained_not_finite", first_bad=since[0])
        if self._lost is not None and self._is_end(self._lost_steps, came_back=self._loss_came_back):
            return self._diverged("non_finite_loss", self._above or self._lost)
        if self._lost_norm is not None and self._is_end(self._lost_norms, came_back=self._norm_came_back):
            return self._diverged("non_finite_gradient", self._lost_norm)
        if self._beyond is not None:
            return self._diverged("blow_up", self._bad or (self._beyond, None))
        if self.finite < FEW or self._is_validation:
            return self._ended(
                "stalled" if self.monitor.smoothed_loss > self.base.untrained - self.monitor.noise else "trained"
            )
        verdict = self.monitor.finish()
        if verdict.outcome == "diverged" and verdict.reason is not None:
            if verdict.reason == "collapse" and _is_well(validation):
                return self._ended("trained")
            return self._diverged(verdict.reason, self._bad or (self._last_step or 0.0, None))
        return self._ended(verdict.outcome)

    def _is_end(self, steps: int, *, came_back: bool) -> bool:
        """Whether steps at the end that are not finite mean more than some that the loop skips, as with AMP."""
        return not came_back or steps >= self.monitor.rule.skipped_in_a_row or self.zero_since is not None

    def _diverged(self, reason: Reason, since: tuple[float, float | None]) -> Judged:
        made = self._ended("diverged")
        return Judged(
            outcome="diverged", reason=reason, first_bad=since[0], last_good=since[1],
            not_finite_since=None if self._lost is None else self._lost[0], final=made.final, lowest=made.lowest,
        )  # fmt: skip

    def _ended(self, outcome: Outcome) -> Judged:
        return Judged(outcome=outcome, final=self.monitor.smoothed_loss, lowest=min(self._lowest, self.base.untrained))


def _is_well(validation: Sequence[float]) -> bool:
    """Whether the validation loss has kept what it had gained."""
    if len(validation) == 0 or not all(map(math.isfinite, validation)):
        return False
    first, lowest, last = validation
    return last <= lowest + RETAINED * (first - lowest) and lowest < first
