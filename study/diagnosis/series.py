"""A quantity over the steps in bounded memory."""

from collections import deque
from math import isfinite, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST = 2048
"""Points that are kept of a series: enough for a figure, and for a quantile to within about 1% of its rank."""
WINDOW = 128
FEWEST = 32
"""Values that must be known before one can be called a spike."""
SIGMAS = 6.0
"""Deviations above the mean of the last values: the rule of OLMo-core."""
SMALLEST_DEVIATION = 1e-2
"""Of the mean: values that hardly differ have no spikes of a hair's breadth."""
MOST_SPIKES = 1000
LARGEST = 1e150
"""Whose square is a number."""

FEWEST_RANKS = 5
HAIR = 0.01
CHANCE = 0.01
"""Of ranks that are as different where nothing has changed."""


class Spike(NamedTuple):
    """Values far above those before them.

    Attributes:
        step: of the first one.
        value: of the first one.
        until: the step of the last one in a row.
    """

    step: float
    value: float
    until: float


class Series:
    """Evenly thinned points: every n-th, with n doubled whenever there are too many."""

    def __init__(self) -> None:
        """Begin empty."""
        self.steps: list[float] = []
        self.values: list[float] = []
        self.seen = 0
        self.every = 1

    def add(self, step: float, value: float) -> None:
        """Take in the next point."""
        if self.seen % self.every == 0:
            self.steps.append(step)
            self.values.append(value)
            if len(self.values) > MOST:
                del self.steps[1::2], self.values[1::2]
                self.every *= 2
        self.seen += 1

    def before(self, step: float | None) -> NDArray[np.float64]:
        """The finite values before a step, or all."""
        values: NDArray[np.float64] = np.asarray(self.values, dtype=float)
        if step is not None:
            values = values[np.asarray(self.steps) < step]
        return values[np.isfinite(values)]

    def has_fallen(self) -> bool:
        """Whether the end lies below the beginning, by their ranks: clearly, and by more than a hair."""
        from scipy.stats import kendalltau, mannwhitneyu

        values = self.before(None)
        if len(values) < FEWEST_RANKS:
            return False
        if len(values) < 3 * FEWEST_RANKS:
            return bool(values[-1] < values[0] - HAIR * abs(values[0])) and (
                float(kendalltau(range(len(values)), values, alternative="less").pvalue) < CHANCE
            )
        first, last = values[: max(FEWEST_RANKS, len(values) // 10)], values[-(len(values) // 3) :]
        is_lower = float(np.median(first)) - float(np.median(last)) > HAIR * abs(float(np.median(first)))
        return is_lower and float(mannwhitneyu(last, first, alternative="less").pvalue) < CHANCE

    @property
    def spacing(self) -> float:
        """The usual distance between two points that were seen, in steps; 0 where that is not known."""
        return float(np.median(np.diff(self.steps))) / self.every if len(self.steps) > 1 else 0.0


class Spikes:
    """Values far above those shortly before them; several in a row are one spike."""

    def __init__(self) -> None:
        """Begin empty."""
        self.found: list[Spike] = []
        self._window: deque[float] = deque()
        self._sum = 0.0
        self._squares = 0.0
        self._since_summed = 0
        self._is_within = False

    def add(self, step: float, value: float) -> None:
        """Take in the next value; one that is not finite is passed over."""
        if not isfinite(value):
            return
        window = self._window
        count = len(window)
        is_spike = False
        if count >= FEWEST:
            mean = self._sum / count
            variance = self._squares / count - mean * mean
            above = value - mean
            if above > SIGMAS * SMALLEST_DEVIATION * abs(mean) and above * above > SIGMAS * SIGMAS * variance:
                limit = mean + SIGMAS * max(sqrt(max(variance, 0.0)), SMALLEST_DEVIATION * abs(mean))
                is_spike = True
                if self._is_within and self.found:
                    self.found[-1] = self.found[-1]._replace(until=step)
                elif len(self.found) < MOST_SPIKES:
                    self.found.append(Spike(step, value, step))
                value = limit  # so that a spike does not hide the next one
        self._is_within = is_spike
        value = min(value, LARGEST)
        window.append(value)
        self._sum += value
        self._squares += value * value
        if count == WINDOW:
            gone = window.popleft()
            self._sum -= gone
            self._squares -= gone * gone
        self._since_summed += 1
        if self._since_summed == WINDOW:  # what a large value took from the small ones comes back
            self._since_summed = 0
            self._sum, self._squares = sum(window), sum(each * each for each in window)
