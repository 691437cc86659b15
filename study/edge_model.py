"""Where runs begin to diverge, and how well that is known: a Gaussian process over the frontiers of a study.

The log odds of divergence of one target (a group of runs with thresholds of one half-decade) are b + (s + d) * x over
the decades x of learning rate from the middle of the range. ``s`` is the slope usual in the study; the height ``b``
and the deviation ``d`` of the slope are Gaussian processes over the targets: those that share a factor's value, or have
a threshold nearby, are alike. That log odds rise with the learning rate is what the prior expects, not what it demands.

A run is seen through its margin m = ln(s_T / l0). With a logistic latent margin u around the log odds f, a run diverges
when u > 0. One that was kept says that u <= 0, whatever its margin, which falls on the way to the edge before it rises.
One that blew up says that u >= k m, and one that was only found worse than untrained at its end that u = k m, where k
turns nats into log odds (a Tobit model with two limits: Rosett and Nelson 1975): a run that diverged tells how far from
the edge it was. The curve runs from 1% to 99%, as in ``study/frontier.py``.

The posterior is Laplace's approximation, by Fisher's scoring (Rasmussen and Williams 2006, section 3.4). The usual
slope, and the rise of margins that gives k, are those with the highest evidence among ``SLOPES`` and ``RISES``; the
frontiers are averaged over all of them by their evidence, and how far they disagree is part of the uncertainty.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, logit

from gradstudy.study.frontier import ACCEPTED_RISK, LAPSE, SLOPE_SD, USUAL_SLOPE

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL = float(logit((ACCEPTED_RISK - LAPSE) / (1 - 2 * LAPSE)))
"""The log odds at the frontier."""
SLOPES = tuple(USUAL_SLOPE * factor for factor in (0.5, 1.0, 2.0, 4.0))
"""Log odds for each decade of learning rate that are compared."""
RISES = (3.0, 24.0)
"""Rises of the margin, in nats for each decade of learning rate above the edge, that are compared. A margin counts the
less the steeper it rises: where runs blow up at once, it says no more than that they diverged."""
LARGEST_EXACT_MARGIN = 1.5
"""Above it a run was stopped because it blew up: it would have risen further."""

EDGE_VARIANCE = 1.0
"""Of the edge's mean over all targets, in decades squared."""
FACTOR_VARIANCE, FACTOR_CURVE_VARIANCE = 0.2, 0.5
"""Of what the groups with one value of a factor have in common, and of its change with the threshold."""
GROUP_VARIANCE, GROUP_CURVE_VARIANCE = 0.05, 0.1
"""Of what one group has for itself."""
OWN_VARIANCE = 0.005
"""Of what one target has for itself."""
THRESHOLD_DECADES = 1.5
"""Thresholds this far apart have like edges."""
SLOPE_SHARE = 0.35
"""Standard deviation of a target's slope, as a share of the usual one; nine tenths of the variance are its group's."""

SMALLEST_CHANCE = 1e-12
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


class EdgeModel:
    """The posterior of height and slope of each target's log odds.

    Attributes:
        height: [targets] log odds at the middle of the range, expected.
        slope: [targets] log odds for each decade, expected; never below a quarter of the usual slope.
        crossing: [targets] decades from the middle at which the log odds pass the frontier's level, expected over the
            usual slopes and rises compared.
        sd: [targets] standard deviation of the crossing, in decades, with that between these.
    """

    def __init__(self, places: Places, runs: Runs, margins: Floats, pending: Runs) -> None:
        """Fit.

        Args:
            places: the targets.
            runs: that have ended.
            margins: [n] of these: above 0 where a run diverged.
            pending: runs that are under way. They narrow the posterior as their outcomes will on average, and do not
                move it (as in GP-BUCB: Desautels et al. 2014).
        """
        unit = _inverse(_prior(places))
        targets = len(places.factors)
        # With lapses a run far on the wrong side has no pull: begin without, and each slope where the last one led.
        fits = []
        for rise in RISES:
            start = _laplace(unit, targets, runs, margins, SLOPES[0], rise, np.zeros(2 * targets), lapse=0.0).mean
            for slope in SLOPES:
                fits.append(_laplace(unit, targets, runs, margins, slope, rise, start * slope / SLOPES[0]))
                start = fits[-1].mean * SLOPES[0] / slope
        best = max(fits, key=lambda fit: fit.evidence)
        crossing, spread = _crossings(fits, targets)
        self.height = best.mean[:targets]
        self.slope = best.slope
        covariance = _inverse(best.precision)
        if len(pending.target):
            mean = self.height[pending.target] + self.slope[pending.target] * pending.decades
            variance = _along(_blocks(covariance, pending.target), pending.decades, pending.decades)
            expected = _expected_information(mean, variance)
            covariance = _inverse(best.precision + _information(pending, expected, targets))
        self._covariance = _blocks(covariance, np.arange(targets))
        self.crossing = crossing
        within = _along(self._covariance, crossing, crossing) / self.slope**2
        self.sd = np.sqrt(within + spread)

    def gain(self, target: int, decades: Floats) -> Floats:
        """How much a run at each learning rate [n] is expected to reduce the variance at the target's crossing."""
        block = np.repeat(self._covariance[target : target + 1], len(decades), 0)
        variance = _along(block, decades, decades)
        noise = 1 / _expected_information(self.height[target] + self.slope[target] * decades, variance)
        return _along(block, decades, np.full(len(decades), self.crossing[target])) ** 2 / (variance + noise)


@dataclass(frozen=True)
class _Fit:
    usual: float
    mean: Floats
    precision: Floats
    evidence: float

    @property
    def slope(self) -> Floats:
        """Of each target, never below a quarter of the usual one."""
        return np.asarray(np.maximum(self.usual + self.mean[len(self.mean) // 2 :], self.usual / 4))


def _prior(places: Places) -> Floats:
    """The covariance [2 targets, 2 targets] of heights, then slopes, for a usual slope of one."""
    shared, same, near = places.likeness()
    targets = len(same)
    own = np.eye(targets)
    height = EDGE_VARIANCE + FACTOR_VARIANCE * shared + GROUP_VARIANCE * same + OWN_VARIANCE * own
    height += (FACTOR_CURVE_VARIANCE * shared + GROUP_CURVE_VARIANCE * same) * near
    prior = np.zeros((2 * targets, 2 * targets))
    prior[:targets, :targets] = height
    prior[targets:, targets:] = SLOPE_SHARE**2 * (0.9 * same + 0.1 * own)
    return prior


def _laplace(
    unit: Floats,
    targets: int,
    runs: Runs,
    margins: Floats,
    slope: float,
    rise: float,
    start: Floats,
    lapse: float = LAPSE,
) -> _Fit:
    """Laplace's approximation for one usual slope and rise; ``unit`` is the prior's precision for a slope of one."""
    nats = np.clip(margins, 0.0, LARGEST_EXACT_MARGIN)
    exact = np.flatnonzero((margins > 0) & (margins < LARGEST_EXACT_MARGIN))  # at least and at most this far
    seen = Runs(np.append(runs.target, runs.target[exact]), np.append(runs.decades, runs.decades[exact]))
    diverged: Floats = np.append((margins > 0).astype(float), np.zeros(len(exact)))
    offset = slope / rise * np.append(nats, nats[exact])
    prior, mean = unit / slope**2, start
    precision = prior

    def linear(parameters: Floats) -> Floats:
        both = parameters[:targets][seen.target] + (slope + parameters[targets:][seen.target]) * seen.decades
        return np.asarray(both - offset)

    for _ in range(SCORING_STEPS):
        risk, chain = _risk(linear(mean), lapse)
        score = chain / (risk * (1 - risk))
        residual = score * (diverged - risk)
        pull = np.append(
            np.bincount(seen.target, residual, targets), np.bincount(seen.target, residual * seen.decades, targets)
        )
        precision = prior + _information(seen, score * chain, targets)
        step = cho_solve(cho_factor(precision, lower=True, check_finite=False), pull - prior @ mean)
        longest = float(np.abs(step).max(initial=0.0))
        mean = mean + step / max(1.0, longest / LONGEST_STEP)
        if longest < CONVERGED:
            break
    risk, _ = _risk(linear(mean), lapse)
    likelihood = np.log(np.where(diverged > 0, risk, 1 - risk)).sum() + len(exact) * np.log(
        slope / rise
    )  # a density in nats
    occam = 0.5 * (np.linalg.slogdet(precision)[1] - np.linalg.slogdet(prior)[1])
    believed = 0.5 * (np.log(slope / USUAL_SLOPE) / SLOPE_SD) ** 2
    return _Fit(slope, mean, precision, float(likelihood - 0.5 * mean @ prior @ mean - occam - believed))


def _crossings(fits: Sequence[_Fit], targets: int) -> tuple[Floats, Floats]:
    """Mean and variance [targets] of the crossings over the fits, by their evidence."""
    evidence = np.array([fit.evidence for fit in fits])
    weight = np.exp(evidence - evidence.max())
    weight /= weight.sum()
    crossings = np.array([(LEVEL - fit.mean[:targets]) / fit.slope for fit in fits])
    mean = weight @ crossings
    return mean, weight @ (crossings - mean) ** 2


def _information(runs: Runs, each: Floats, targets: int) -> Floats:
    """Fisher's information [2 targets, 2 targets] of runs with information ``each`` [n] on their log odds."""
    found = np.zeros((2 * targets, 2 * targets))
    rows = np.arange(targets)
    found[rows, rows] = np.bincount(runs.target, each, targets)
    found[rows, targets + rows] = np.bincount(runs.target, each * runs.decades, targets)
    found[targets + rows, rows] = found[rows, targets + rows]
    found[targets + rows, targets + rows] = np.bincount(runs.target, each * runs.decades**2, targets)
    return found


def _inverse(matrix: Floats) -> Floats:
    return np.asarray(np.linalg.inv(matrix), np.float64)


def _blocks(covariance: Floats, target: Ints) -> Floats:
    """The covariance [n, 2, 2] of height and slope of each target [n]."""
    both = np.stack([target, target + len(covariance) // 2], 1)
    return np.asarray(covariance[both[:, :, None], both[:, None, :]])


def _along(blocks: Floats, left: Floats, right: Floats) -> Floats:
    """The covariances [n] of log odds at pairs of decades."""
    return np.asarray(
        blocks[:, 0, 0] + blocks[:, 0, 1] * right + blocks[:, 1, 0] * left + blocks[:, 1, 1] * left * right
    )


def _risk(log_odds: Floats, lapse: float = LAPSE) -> tuple[Floats, Floats]:
    """P(diverged) and its derivative by the log odds."""
    chance = np.clip(expit(log_odds), SMALLEST_CHANCE, 1 - SMALLEST_CHANCE)
    return lapse + (1 - 2 * lapse) * chance, (1 - 2 * lapse) * chance * (1 - chance)


_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)


def _expected_information(mean: Floats, variance: Floats) -> Floats:
    """Fisher's information [n] that a run has on its log odds, over their posterior."""
    risk, chain = _risk(mean[:, None] + np.sqrt(np.maximum(variance, 0))[:, None] * _NODES)
    return np.asarray(np.maximum((chain**2 / (risk * (1 - risk))) @ _WEIGHTS / _WEIGHTS.sum(), 1e-8))
