"""What stands in a log for the untrained model's loss, and how noisy the losses are.

A log rarely has the loss of the untrained model. The first loss stands for it, or the median of the first ones where
that is higher by no more than noise: a healthy run must not be called worse than untrained because its first batch was
an easy one, and one that rose at once must not begin where it rose to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradstudy.models.loss_names import LossKind
from gradstudy.study.divergence import DivergenceMonitor, DivergenceRule

FIRST = 10
"""Losses that count as the first ones, of a log that is at least three times as long."""
NOISE_SHARE = 0.05
"""Of the first loss, within which a run has learned nothing: a study takes 1%, but has measured the untrained model."""
FEW = 5
"""Losses below which nothing is known of their noise."""
OF_TRIPLES = 0.6745 * 1.5**0.5
"""The median distance of a value from the mean of its neighbours, in standard deviations, of normal noise."""
MOST_OF_LOGARITHM = 1.0
"""Noise of the logarithm of a loss beyond which nothing more can be said of it."""
RISES = 5.0
"""Deviations by which the first losses must rise for that to be no chance."""
SMOOTH, OF_MEANS = 0.02, 3.0
"""Noise of the logarithm below which losses may be running means, of which the first one is a single batch, perhaps an
easy one; and how many times it the others must be, then."""
HALF_LIVES = (1.0, 2.0, 3.0, 5.0, 10.0)
"""Of the smoothed loss, in points of the log."""
LAG = 20
"""A log of so many half-lives is smoothed without delaying what it shows."""
QUIET = 0.05
"""Noise of the smoothed loss that does not disturb, as a share of what was learned."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Where a run began.

    Attributes:
        untrained: the loss that stands for that of the untrained model.
        spread: standard deviation of a loss around its course.
        measured_on: how many losses say so.
        half_life: of the smoothed loss, in points of the log.
        loss: the kind of loss, as far as its values and its name tell.
    """

    untrained: float
    spread: float
    measured_on: int
    half_life: float
    loss: LossKind

    def monitor(self) -> DivergenceMonitor:
        """The judge of a run: that of studies, with what the log knows."""
        rule = DivergenceRule(half_life=self.half_life, noise_share=NOISE_SHARE)
        made = DivergenceMonitor(self.untrained, rule, loss=self.loss, guard=True)
        made.spread, made.measured_on = self.spread, self.measured_on
        return made


def baseline(losses: Sequence[float], *, squared: bool, untrained: float | None) -> Baseline:
    """The beginning of a run.

    Args:
        losses: the first finite ones, at least one.
        squared: whether they are of squared errors.
        untrained: the loss of the untrained model, where the person knows it.
    """
    values = np.asarray(losses, dtype=float)
    noise = _Noise(values)
    began, measured_on = _began(values, noise) if untrained is None else (untrained, FIRST)
    spread = noise.spread(began)
    kind: LossKind = "likelihood" if values.min() < 0 else "mse" if squared else "cross_entropy"
    half_life = _half_life(values, began, spread)
    return Baseline(untrained=began, spread=spread, measured_on=measured_on, half_life=half_life, loss=kind)


class _Noise:
    """How far losses lie from their course, which may rise or fall, also exponentially."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.is_relative = bool(values.min() > 0)
        of = np.log(values) if self.is_relative else values
        apart = np.abs(of[1:-1] - (of[:-2] + of[2:]) / 2)
        self.deviation = float(np.median(apart)) / OF_TRIPLES if len(apart) else 0.0

    def spread(self, at: float) -> float:
        """The standard deviation of a loss near ``at``; of one above 0 as if its logarithm were normal."""
        if not self.is_relative:
            return self.deviation
        variance = min(self.deviation, MOST_OF_LOGARITHM) ** 2
        return at * float(np.sqrt(np.exp(2 * variance) - np.exp(variance)))

    def is_rise(self, before: float, after: float) -> bool:
        """Whether a loss that is higher has risen, rather than that the one before it was low by chance."""
        if not self.is_relative:
            return after - before > RISES * self.deviation
        rise = float(np.log(after / before))
        return rise > RISES * self.deviation and (self.deviation > SMOOTH or rise > np.log(OF_MEANS))


def _began(values: NDArray[np.float64], noise: _Noise) -> tuple[float, int]:
    """The loss that stands for the untrained model's, and of how many losses it is."""
    first = values[: max(1, min(FIRST, len(values) // 3))]
    usual = float(np.median(first))
    if usual <= values[0] or noise.is_rise(float(values[0]), usual):
        return float(values[0]), 1
    return usual, len(first)


def _half_life(values: NDArray[np.float64], began: float, spread: float) -> float:
    """As short as the length of the log lets it be, and its noise."""
    points = len(values)
    if points < FEW:
        return HALF_LIVES[0]
    gain = began - float(np.median(np.lib.stride_tricks.sliding_window_view(values, FEW), axis=1).min())
    for half_life in HALF_LIVES:
        decay = 0.5 ** (1 / half_life)
        noise = spread * ((1 - decay) / (1 + decay)) ** 0.5
        if half_life * LAG >= min(points, LAG * HALF_LIVES[-1]) and noise <= QUIET * gain:
            return half_life
    return max(HALF_LIVES[0], min(HALF_LIVES[-1], points / 4))
