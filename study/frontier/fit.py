"""Where runs begin to diverge: a Gaussian process over the frontiers of a study.

The log odds of divergence of one target (a group of runs with thresholds of one half-decade) are b + (s + d) * x over
the decades x of learning rate from the middle of the range. ``s`` is the slope usual in the study; the height ``b``
and the deviation ``d`` of the slope are Gaussian processes over the targets: those that share a factor's value, or have
a threshold nearby, are alike. That log odds rise with the learning rate is what the prior expects, not what it demands.

The posterior is Laplace's approximation, by Fisher's scoring (Rasmussen and Williams 2006, section 3.4). The usual
slope, the rise of margins that turns them into log odds (``likelihood.py``) and the prior (``prior.py``) are those with
the highest evidence among all that are compared, found by climbing; the frontiers are averaged over them by their
evidence, and how far they disagree is part of the uncertainty.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv

from gradstudy.study.frontier.likelihood import LAPSE, LEVEL, Floats, Seen
from gradstudy.study.frontier.places import Runs
from gradstudy.study.frontier.prior import RISES, SLOPES, Prior

START: tuple[int, int] = (1, 2)
"""Where the comparison of slopes and rises begins; that of priors begins beside the vague one."""
STEPS = ((0, 0, 0), (-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))
"""From a slope, a rise and a prior to those beside it."""
MOST_TARGETS = 128
"""That are fitted together; their number cubed is what a fit costs."""

SCORING_STEPS = 30
LONGEST_STEP = 4.0
"""Of one scoring step, in log odds."""
CONVERGED = 0.02


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
        prior: the place of the prior among those compared.
    """

    usual: float
    rise: float
    mean: Floats
    precision: Floats
    told: Floats
    evidence: float
    prior: int

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


def fit_frontiers(runs: Runs, margins: Floats, believed: Sequence[Prior]) -> list[Fit]:
    """The fits at the best usual slope, rise and prior and around them: uphill from usual ones, by evidence.

    Args:
        runs: that have ended.
        margins: [n] of these: above 0 where a run diverged.
        believed: priors that are compared, see ``priors``.
    """
    # With lapses a run far on the wrong side has no pull: begin without, and each fit where one beside it led.
    place = (*START, min(1, len(believed) - 1))
    mean = believed[place[2]].mean(SLOPES[place[0]])
    mean = _laplace(believed[place[2]], runs, margins, place, mean, lapse=0.0).mean
    fits = {place: _laplace(believed[place[2]], runs, margins, place, mean)}
    while True:
        beside = [
            (slope, rise, prior)
            for slope, rise, prior in ((place[0] + up, place[1] + over, place[2] + on) for up, over, on in STEPS)
            if slope in range(len(SLOPES)) and rise in range(len(RISES)) and prior in range(len(believed))
        ]
        for each in (other for other in beside if other not in fits):
            begin = fits[place].mean * SLOPES[each[0]] / SLOPES[place[0]]
            fits[each] = _laplace(believed[each[2]], runs, margins, each, begin)
        best = max(beside, key=lambda other: fits[other].evidence)
        if best == place:
            return list(fits.values())
        place = best


def _laplace(
    prior: Prior, runs: Runs, margins: Floats, place: tuple[int, int, int], start: Floats, lapse: float = LAPSE
) -> Fit:
    """The approximation around the mode, at a ``place`` among the slopes, the rises and the priors."""
    slope, rise = SLOPES[place[0]], RISES[place[1]]
    targets = len(start) // 2
    seen = Seen(margins, slope / rise, lapse)
    believed, expected, mean = prior.precision / slope**2, prior.mean(slope), start
    precision = believed

    def told(parameters: Floats) -> Floats:
        steepness = slope + parameters[targets:][runs.target]
        return seen.told(parameters[:targets][runs.target] + steepness * runs.decades)

    for _ in range(SCORING_STEPS):
        _, score, each = told(mean)
        precision = believed + information(runs, each, targets)
        step = _solved(precision, np.concatenate(pull(runs, score, targets)) - believed @ (mean - expected))
        longest = float(np.abs(step).max(initial=0.0))
        mean = mean + step / max(1.0, longest / LONGEST_STEP)
        if longest < CONVERGED:
            break
    at_mode = told(mean)
    precision = believed + information(runs, at_mode[2], targets)
    log_prior = prior.log_determinant - 2 * len(mean) * np.log(slope)
    occam = float(np.log(np.diag(np.linalg.cholesky(precision))).sum()) - 0.5 * log_prior
    away = mean - expected
    evidence = at_mode[0].sum() - 0.5 * away @ believed @ away - occam + prior.of_slopes[place[:2]]
    return Fit(slope, rise, mean, precision, at_mode, float(evidence), place[2])


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
