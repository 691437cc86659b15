"""What frontiers are of, and the runs that tell of them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gradstudy.study.frontier.likelihood import Floats

Ints = NDArray[np.int64]

THRESHOLD_DECADES = 1.5
"""Thresholds this far apart have like frontiers."""


@dataclass(frozen=True)
class Places:
    """Targets as the prior sees them.

    Attributes:
        factors: [targets, factors] codes of the categorical parameters.
        thresholds: [targets, axes] in decades, NaN where a target does not have the axis.
    """

    factors: Ints
    thresholds: Floats

    def likeness(self) -> tuple[Floats, Floats, Floats]:
        """How many factors' values each pair shares, whether all, how near the thresholds are: [targets, targets]."""
        equal = self.factors[:, None, :] == self.factors[None, :, :]
        near = np.ones(equal.shape[:2])
        for axis in self.thresholds.T:
            away = (axis[:, None] - axis[None, :]) / THRESHOLD_DECADES
            neither = np.isnan(axis)[:, None] & np.isnan(axis)[None, :]
            near *= np.where(neither, 1.0, np.nan_to_num(np.exp(-0.5 * away**2)))
        return equal.sum(2).astype(float), equal.all(2).astype(float), near


@dataclass(frozen=True)
class Runs:
    """Runs by target.

    Attributes:
        target: [n].
        decades: [n] of learning rate, from the middle of the range.
    """

    target: Ints
    decades: Floats

    @classmethod
    def none(cls) -> Self:
        """No runs."""
        return cls(np.zeros(0, np.int64), np.zeros(0))
