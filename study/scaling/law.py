"""How a learning rate depends on the width: a straight line in logarithms, beyond the widths that were tried.

The line is a Bayesian regression: what theory says of its slope is the prior, which the widths tried correct. Under the
maximal update parametrization learning rates do not depend on the width (Yang, Hu et al. 2021, arXiv 2203.03466); under
the standard one they fall at most like one over it, at small widths less (Yang, Hu 2020, arXiv 2011.14522).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Slope:
    """What is known beforehand of how many decades a learning rate changes for each decade of width."""

    mean: float
    sd: float


STANDARD = Slope(-0.5, 0.5)
TRANSFERRED = Slope(0.0, 0.1)
"""In the maximal update parametrization."""
OFF_LINE = 0.06
"""Standard deviation, in decades, of a learning rate at one width around the line."""
BENDS = 0.15
"""Standard deviation of what the line bends by, for each decade of width beyond the last one, in decades."""
WITHIN_95 = 1.96


@dataclass(frozen=True)
class Line:
    """A learning rate at the width asked about.

    Attributes:
        decades: its logarithm to the base of 10.
        sd: standard deviation of it.
        slope: decades for each decade of width.
    """

    decades: float
    sd: float
    slope: float

    @property
    def interval(self) -> tuple[float, float]:
        """The learning rates between which it lies with a probability of 95%."""
        away = WITHIN_95 * self.sd
        return float(10 ** (self.decades - away)), float(10 ** (self.decades + away))

    @property
    def learning_rate(self) -> float:
        """The most probable one."""
        return float(10**self.decades)


def extrapolate(widths: Floats, decades: Floats, sds: Floats, target: float, slope: Slope) -> Line:
    """The learning rate at a larger width.

    Args:
        widths: [n] that were tried, at least one.
        decades: [n] logarithms of the learning rate at each.
        sds: [n] their standard deviations.
        target: the width asked about.
        slope: what is known beforehand.
    """
    away = np.log10(widths / target)
    design = np.stack([np.ones(len(away)), away], 1)
    weights = 1 / (sds**2 + OFF_LINE**2)
    precision = design.T @ (weights[:, None] * design)
    right = design.T @ (weights * decades)
    precision[1, 1] += 1 / slope.sd**2
    right[1] += slope.mean / slope.sd**2
    covariance = np.linalg.inv(precision)
    level, rise = covariance @ right
    beyond = BENDS * -away.max()
    return Line(float(level), float(np.sqrt(covariance[0, 0] + OFF_LINE**2 + beyond**2)), float(rise))
