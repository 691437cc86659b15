"""What is believed of the frontiers of a study before it has runs: little, or what another study found.

All is for a usual slope of one (``fit.py``), in which heights are decades. What another study found counts as readings
of this study's frontiers. Their error is that study's own, a shift of all frontiers, and that frontiers differ between
studies as they do from what is usual, but much less. Whether the studies are alike is for the runs to say: the vague
prior and this one are compared by their evidence (a mixture of an informed and a vague prior forgets what is wrong:
Schmidli et al. 2014).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from gradstudy.study.frontier.likelihood import LEVEL, Floats
from gradstudy.study.frontier.places import Places

USUAL_SLOPE = 8.0
"""Log odds for each decade of learning rate, the middle of the prior: 10% to 90% within half a decade."""
SLOPE_SD = 1.5
"""Of the usual slope's logarithm: give or take a factor of 4.5."""
SLOPES = tuple(USUAL_SLOPE * factor for factor in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0))
"""Log odds for each decade of learning rate that are compared."""
RISES = (2.0, 3.5, 6.0, 12.0, 24.0, 60.0)
"""Rises of the margin, in nats for each decade of learning rate above the frontier, that are compared. A margin counts
the less the steeper it rises: where runs blow up at once, it says no more than that they diverged."""
FRONTIER_VARIANCE = 1.0
"""Of the frontiers' mean over all targets, in decades squared."""
FACTOR_VARIANCE, FACTOR_CURVE_VARIANCE = 0.2, 0.5
"""Of what the groups with one value of a factor have in common, and of its change with the threshold."""
GROUP_VARIANCE, GROUP_CURVE_VARIANCE = 0.05, 0.1
"""Of what one group has for itself."""
OWN_VARIANCE = 0.015
"""Of what one target has for itself."""
SLOPE_SHARE = 0.35
"""Standard deviation of a target's slope, as a share of the usual one; nine tenths of the variance are its group's."""
SHIFT_SD = 0.4
"""Decades by which all frontiers of a study lie beside those of another one that it is like."""
SPREAD = 0.1
"""How much frontiers differ besides, as a share of how much they differ from what is usual: standard deviations."""
DOUBT = 0.02
"""The probability, before any run, that a study is like another one."""
LIKE_SD = 0.7
"""Of the logarithms of slope and rise between two studies that are alike: a factor of two."""


@dataclass(frozen=True)
class Readings:
    """What another study found.

    Attributes:
        crossing: [targets] decades from the middle; NaN where it did not look.
        sd: [targets] of these.
        slope: that was usual in it.
        rise: of its margins.
    """

    crossing: Floats
    sd: Floats
    slope: float
    rise: float


@dataclass(frozen=True)
class Prior:
    """A normal distribution of heights, then deviations of the slopes, for a usual slope of one.

    Attributes:
        level: [targets] the share of the frontier's level that is in the expected height.
        crossing: [targets] decades from the middle at which frontiers are expected.
        covariance: [2 targets, 2 targets].
        of_slopes: logarithm of the probability of each of ``SLOPES`` and ``RISES``, [slopes, rises], with that of the
            prior.
    """

    level: Floats
    crossing: Floats
    covariance: Floats
    of_slopes: Floats

    @classmethod
    def vague(cls, places: Places) -> Self:
        """What is believed of any study."""
        targets = len(places.factors)
        none = np.zeros(targets)
        slopes = _near(SLOPES, USUAL_SLOPE, SLOPE_SD)[:, None] + np.zeros(len(RISES))
        return cls(none, none, _blocks(_heights(places), _slopes(places), none), _normalised(slopes))

    @classmethod
    def like(cls, places: Places, readings: Readings) -> Self:
        """What is believed of a study that is like the one that was read."""
        heights, known = _heights(places), np.isfinite(readings.crossing)
        error = (SHIFT_SD**2 + SPREAD**2 * heights + np.diag(readings.sd**2))[np.ix_(known, known)]
        gain = np.linalg.solve(heights[np.ix_(known, known)] + error, heights[known]).T
        crossing = gain @ readings.crossing[known]
        slopes = _near(SLOPES, readings.slope, LIKE_SD)[:, None] + _near(RISES, readings.rise, LIKE_SD)
        left = heights - gain @ heights[known]
        odds = np.log(DOUBT / (1 - DOUBT))
        return cls(gain.sum(1), crossing, _blocks(left, _slopes(places), crossing), _normalised(slopes) + odds)

    @cached_property
    def precision(self) -> Floats:
        """[2 targets, 2 targets]."""
        return np.asarray(np.linalg.inv(self.covariance), np.float64)

    @cached_property
    def log_determinant(self) -> float:
        """Of the precision."""
        return -float(np.linalg.slogdet(self.covariance)[1])

    def mean(self, slope: float) -> Floats:
        """Expected heights and deviations, [2 targets], for a usual slope."""
        return np.concatenate([LEVEL * self.level - slope * self.crossing, np.zeros_like(self.crossing)])


def priors(places: Places, readings: Readings | None) -> list[Prior]:
    """Those that are compared, the vague one first."""
    vague = Prior.vague(places)
    if readings is None or np.isnan(readings.crossing).all():
        return [vague]
    return [vague, Prior.like(places, readings)]


def _heights(places: Places) -> Floats:
    """The covariance of heights of a study of which nothing is known."""
    shared, same, near = places.likeness()
    height = FRONTIER_VARIANCE + FACTOR_VARIANCE * shared + GROUP_VARIANCE * same + OWN_VARIANCE * np.eye(len(same))
    return np.asarray(height + (FACTOR_CURVE_VARIANCE * shared + GROUP_CURVE_VARIANCE * same) * near)


def _slopes(places: Places) -> Floats:
    """The covariance of the slopes' deviations."""
    _, same, _ = places.likeness()
    return np.asarray(SLOPE_SHARE**2 * (0.9 * same + 0.1 * np.eye(len(same))))


def _blocks(frontiers: Floats, slopes: Floats, expected: Floats) -> Floats:
    """The covariance of heights and slopes: another slope turns a curve around the frontier that is expected."""
    across = -expected[:, None] * slopes
    heights = frontiers + expected[:, None] * slopes * expected
    return np.block([[heights, across], [across.T, slopes]])


def _near(values: tuple[float, ...], expected: float, sd: float) -> Floats:
    return np.asarray(-0.5 * (np.log(np.array(values) / expected) / sd) ** 2)


def _normalised(logarithms: Floats) -> Floats:
    return np.asarray(logarithms - np.log(np.exp(logarithms).sum()))
