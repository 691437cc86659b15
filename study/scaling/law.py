"""How a learning rate depends on the width: a straight line in logarithms, beyond the widths that were tried.

The line is a Bayesian regression: what is known of its slope beforehand is the prior, which the widths tried correct.
Under the maximal update parametrization learning rates do not depend on the width (Yang, Hu et al. 2021, arXiv
2203.03466). Under the standard one they fall at most like one over it (Yang and Hu 2020, arXiv 2011.14522). With Adam
and its like, which move every weight alike, they do so in the limit: the sum over a unit's inputs moves with their
number. Small models are not there yet, so that beyond the widths tried the line bends towards that limit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """What is known beforehand of how many decades a learning rate changes for each decade of width.

    Attributes:
        slope: among the widths tried.
        sd: standard deviation of it.
        limit: the slope of very large widths.
        pull: how far the slope beyond the widths tried is on the way from the one among them to that.
        bend: standard deviation of the slope beyond them around that.
    """

    slope: float
    sd: float
    limit: float
    pull: float
    bend: float


TRANSFERRED = Known(slope=0.0, sd=0.1, limit=0.0, pull=0.0, bend=0.15)
"""In the maximal update parametrization."""
BY_SIZE = Known(slope=-0.25, sd=0.4, limit=-1.0, pull=0.0, bend=0.3)
"""In the standard one, of optimizers whose updates are as large as gradients: when the limit comes is not known."""
EVEN = Known(slope=-0.5, sd=0.4, limit=-1.0, pull=0.8, bend=0.3)
"""In the standard one, of optimizers that move every weight alike."""
OFF_LINE = 0.06
"""Standard deviation, in decades, of a learning rate at one width around the line."""
WITHIN_95 = 1.96


@dataclass(frozen=True)
class Line:
    """A learning rate at the width asked about.

    Attributes:
        decades: its logarithm to the base of 10.
        sd: standard deviation of it.
        slope: decades for each decade of width, beyond the widths tried.
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


def extrapolate(widths: Floats, decades: Floats, sds: Floats, target: float, known: Known) -> Line:
    """The learning rate at a larger width.

    Args:
        widths: [n] that were tried, at least one.
        decades: [n] logarithms of the learning rate at each.
        sds: [n] their standard deviations.
        target: the width asked about, larger than all.
        known: beforehand.
    """
    away = np.log10(widths / widths.max())
    design = np.stack([np.ones(len(away)), away], 1)
    weights = 1 / (sds**2 + OFF_LINE**2)
    precision = design.T @ (weights[:, None] * design)
    right = design.T @ (weights * decades)
    precision[1, 1] += 1 / known.sd**2
    right[1] += known.slope / known.sd**2
    covariance = np.linalg.inv(precision)
    level, slope = covariance @ right
    beyond = float(np.log10(target / widths.max()))
    bent = slope + known.pull * (known.limit - slope)
    ahead = np.array([1.0, (1 - known.pull) * beyond])
    variance = ahead @ covariance @ ahead + OFF_LINE**2 + (known.bend * beyond) ** 2
    return Line(float(level + bent * beyond), float(np.sqrt(variance)), float(bent))
