"""How the learning rate of a run went: warm-up, schedule, jumps."""

from dataclasses import dataclass

from gradstudy.study.diagnosis.series import Series

SAME = 1e-3
"""Relative difference within which two rates are the same."""
RISES = 1.05
"""Times the first rate that the highest one must be for a warm-up."""
STEEPEST = 3.0
"""Times the rate before it that a rate of a warm-up may be, but for the second one: beyond it the rate has jumped."""


@dataclass(frozen=True, kw_only=True)
class RateCourse:
    """Learning rates over the steps.

    Attributes:
        first: the rate at the first step that is logged.
        highest: the rate at the end of the warm-up, or the first one.
        last: the rate at the end.
        warm_until: the step at which a rise from the beginning ends; None without one.
        jumps: steps at which the rate rose later, as schedules with restarts let it.
    """

    first: float
    highest: float
    last: float
    warm_until: float | None
    jumps: tuple[float, ...]

    @property
    def is_constant(self) -> bool:
        """Whether it never changed."""
        return self.warm_until is None and not self.jumps and self.last >= self.highest * (1 - SAME)

    @property
    def falls(self) -> bool:
        """Whether it ended below its highest."""
        return self.last < self.highest * (1 - SAME)


def rate_course(rates: Series) -> RateCourse | None:
    """The course of rates; None without any."""
    values, steps = rates.values, rates.steps
    if not values:
        return None
    peak = 0
    while peak + 1 < len(values) and _goes_on(values[peak], values[peak + 1], is_first=peak == 0):
        peak += 1
    while peak and values[peak - 1] >= values[peak] * (1 - SAME):
        peak -= 1  # where it first had its height
    warm = steps[peak] if values[peak] > RISES * values[0] else None
    jumps = tuple(
        steps[place] for place in range(peak + 1, len(values)) if values[place] > RISES * max(values[place - 1], 1e-300)
    )
    return RateCourse(first=values[0], highest=values[peak], last=values[-1], warm_until=warm, jumps=jumps)


def _goes_on(before: float, after: float, *, is_first: bool) -> bool:
    """Whether a warm-up goes on; it may begin at next to nothing."""
    return before * (1 - SAME) <= after and (is_first or after <= STEEPEST * before)
