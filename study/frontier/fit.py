"""Where runs begin to diverge: a Gaussian process over the frontiers of a study.

The log odds of divergence of one target (a group of runs with thresholds of one half-decade) are b + (s + d) * x over
the decades x of learning rate from the middle of the range. ``s`` is the slope usual in the study; the height ``b``
and the deviation ``d`` of the slope are Gaussian processes over the targets: those that share a factor's value, or have
a threshold nearby, are alike. That log odds rise with the learning rate is what the prior expects, not what it demands.

The posterior is Laplace's approximation, by Fisher's scoring (Rasmussen and Williams 2006, section 3.4). The usual
slope, and the rise of margins that turns them into log odds (``likelihood.py``), are those with the highest
evidence among ``SLOPES`` and ``RISES``, found by climbing; the frontiers are averaged over all that were compared by
their evidence, and how far they disagree is part of the uncertainty.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv

from gradstudy.study.frontier.likelihood import LAPSE, LEVEL, Floats, Seen

Ints = NDArray[np.int64]

USUAL_SLOPE = 8.0
"""Log odds for each decade of learning rate, the middle of the prior: 10% to 90% within half a decade."""
SLOPE_SD = 1.5
"""Of the usual slope's logarithm: give or take a factor of 4.5."""
SLOPES = tuple(USUAL_SLOPE * factor for factor in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0))
"""Log odds for each decade of learning rate that are compared."""
RISES = (2.0, 3.5, 6.0, 12.0, 24.0, 60.0)
"""Rises of the margin, in nats for each decade of learning rate above the frontier, that are compared. A margin counts
the less the steeper it rises: where runs blow up at once, it says no more than that they diverged."""
START: tuple[int, int] = (1, 2)
"""Where the comparison of slopes and rises begins."""
FRONTIER_VARIANCE = 1.0
"""Of the frontiers' mean over all targets, in decades squared."""
FACTOR_VARIANCE, FACTOR_CURVE_VARIANCE = 0.2, 0.5
"""Of what the groups with one value of a factor have in common, and of its change with the threshold."""
GROUP_VARIANCE, GROUP_CURVE_VARIANCE = 0.05, 0.1
"""Of what one group has for itself."""
OWN_VARIANCE = 0.015
"""Of what one target has for itself."""
THRESHOLD_DECADES = 1.5
"""Thresholds this far apart have like frontiers."""
SLOPE_SHARE = 0.35
"""Standard deviation of a target's slope, as a share of the usual one; nine tenths of the variance are its group's."""

MOST_TARGETS = 128
"""That are fitted together; their number cubed is what a fit costs."""

SCORING_STEPS = 30
LONGEST_STEP = 4.0
"""Of one scoring step, in log odds."""
CONVERGED = 0.02


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


@dataclass(frozen=True)
class Fit:
    """Laplace's approximation for one usual slope and one rise of the margins.

    Attributes:
        usual: the slope usual in the study.
        rise: of the margins.
        mean: [2 targets] heights, then deviations of the slopes.
        precision: [2 targets, 2 targets] of the posterior.
        told: by the runs at the mode, [3, n], see ``Seen.told``.
        evidence: its logarithm, up to a constant.
    """

    usual: float
    rise: float
    mean: Floats
    precision: Floats
    told: Floats
    evidence: float

    @property
    def height(self) -> Floats:
        """Log odds [targets] at the middle of the range."""
        return self.mean[: len(self.mean) // 2]

    @property
    def slope(self) -> Floats:
        """Log odds for each decade [targets], never below a quarter of the usual slope."""
        return np.asarray(np.maximum(self.usual + self.mean[len(self.mean) // 2 :], self.usual / 4))

    @property
    def crossing(self) -> Floats:
        """Decades from the middle [targets] at which the log odds pass the frontier's level."""
        return np.asarray((LEVEL - self.height) / self.slope)


def fit_frontiers(places: Places, runs: Runs, margins: Floats) -> list[Fit]:
    """The fits at the best usual slope and rise and around them: uphill from a usual one, by evidence.

    Args:
        places: the targets.
        runs: that have ended.
        margins: [n] of these: above 0 where a run diverged.
    """
    unit, targets = inverse(_prior(places)), len(places.factors)
    log_unit = float(np.linalg.slogdet(unit)[1])
    # With lapses a run far on the wrong side has no pull: begin without, and each fit where one beside it led.
    place = START
    usual = SLOPES[place[0]]
    start = _laplace(unit, log_unit, targets, runs, margins, usual, RISES[place[1]], np.zeros(2 * targets), lapse=0.0)
    fits: dict[tuple[int, int], Fit] = {
        place: _laplace(unit, log_unit, targets, runs, margins, usual, RISES[place[1]], start.mean)
    }
    while True:
        steps = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
        beside = [(place[0] + up, place[1] + over) for up, over in steps]
        beside = [(slope, rise) for slope, rise in beside if slope in range(len(SLOPES)) and rise in range(len(RISES))]
        for slope, rise in (other for other in beside if other not in fits):
            begin = fits[place].mean * SLOPES[slope] / SLOPES[place[0]]
            fits[slope, rise] = _laplace(unit, log_unit, targets, runs, margins, SLOPES[slope], RISES[rise], begin)
        best = max(beside, key=lambda other: fits[other].evidence)
        if best == place:
            return list(fits.values())
        place = best


def _prior(places: Places) -> Floats:
    """The covariance [2 targets, 2 targets] of heights, then slopes, for a usual slope of one."""
    shared, same, near = places.likeness()
    targets = len(same)
    own = np.eye(targets)
    height = FRONTIER_VARIANCE + FACTOR_VARIANCE * shared + GROUP_VARIANCE * same + OWN_VARIANCE * own
    height += (FACTOR_CURVE_VARIANCE * shared + GROUP_CURVE_VARIANCE * same) * near
    prior = np.zeros((2 * targets, 2 * targets))
    prior[:targets, :targets] = height
    prior[targets:, targets:] = SLOPE_SHARE**2 * (0.9 * same + 0.1 * own)
    return prior


def _laplace(
    unit: Floats,
    log_unit: float,
    targets: int,
    runs: Runs,
    margins: Floats,
    slope: float,
    rise: float,
    start: Floats,
    lapse: float = LAPSE,
) -> Fit:
    """The approximation around the mode.

    ``unit`` is the prior's precision for a slope of one, ``log_unit`` the logarithm of its determinant.
    """
    seen = Seen(margins, slope / rise, lapse)
    prior, mean = unit / slope**2, start
    precision = prior

    def told(parameters: Floats) -> Floats:
        steepness = slope + parameters[targets:][runs.target]
        return seen.told(parameters[:targets][runs.target] + steepness * runs.decades)

    for _ in range(SCORING_STEPS):
        _, score, each = told(mean)
        precision = prior + information(runs, each, targets)
        step = _solved(precision, np.concatenate(pull(runs, score, targets)) - prior @ mean)
        longest = float(np.abs(step).max(initial=0.0))
        mean = mean + step / max(1.0, longest / LONGEST_STEP)
        if longest < CONVERGED:
            break
    at_mode = told(mean)
    precision = prior + information(runs, at_mode[2], targets)
    log_prior = log_unit - 2 * len(mean) * np.log(slope)
    occam = float(np.log(np.diag(np.linalg.cholesky(precision))).sum()) - 0.5 * log_prior
    believed = 0.5 * (np.log(slope / USUAL_SLOPE) / SLOPE_SD) ** 2
    evidence = at_mode[0].sum() - 0.5 * mean @ prior @ mean - occam - believed
    return Fit(slope, rise, mean, precision, at_mode, float(evidence))


def _solved(matrix: Floats, right: Floats) -> Floats:
    """The solution for a positive definite matrix, by LAPACK's own routine: wrappers take longer than it does."""
    _, solution, failed = dposv(matrix, right)
    if failed:
        raise np.linalg.LinAlgError("the precision of the frontiers is not positive definite")
    return np.asarray(solution, np.float64)


def pull(runs: Runs, each: Floats, targets: int) -> tuple[Floats, Floats]:
    """The scores ``each`` [n] of runs' log odds, summed as those of heights and slopes, [targets] each."""
    height = np.bincount(runs.target, each, targets)
    slope = np.bincount(runs.target, each * runs.decades, targets)
    return height.astype(np.float64), slope.astype(np.float64)


def information(runs: Runs, each: Floats, targets: int) -> Floats:
    """Fisher's information [2 targets, 2 targets] of runs with information ``each`` [n] on their log odds."""
    found = np.zeros((2 * targets, 2 * targets))
    rows = np.arange(targets)
    found[rows, rows] = np.bincount(runs.target, each, targets)
    found[rows, targets + rows] = np.bincount(runs.target, each * runs.decades, targets)
    found[targets + rows, rows] = found[rows, targets + rows]
    found[targets + rows, targets + rows] = np.bincount(runs.target, each * runs.decades**2, targets)
    return found


def inverse(matrix: Floats) -> Floats:
    """Of one matrix, or of each of several, [..., n, n]."""
    return np.asarray(np.linalg.inv(matrix), np.float64)
