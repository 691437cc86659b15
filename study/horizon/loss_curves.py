"""Where the losses of longer runs end: a Gaussian process over settings and the logarithm of the steps.

The logarithm of a setting's loss is a line over the logarithm of the steps, which is a power law, and a random walk
around it. Lines of one study are alike: their heights and their slopes have a part that all settings share, one of the
group, and one that depends on the learning rate. That is freeze-thaw's idea (Swersky, Snoek and Adams 2014), with power
laws in place of exponentials.
"""

from dataclasses import dataclass, fields

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.horizon.runs_by_length import RunsByLength
from gradstudy.study.worth.observed import Settings

SMALLEST_SHARE = 1e-6
JITTER = 1e-8
MOST_SETTINGS = 200
"""Settings that the process is made of: those with longer runs, and of the others the lowest."""


@dataclass(frozen=True, kw_only=True)
class CurvePrior:
    """What is believed of the logarithms of losses; standard deviations but for the last two.

    Attributes:
        slope: expected, for each unit of length.
        level, level_group, level_rate, level_own: of heights: of all, of a group, by learning rate, of a setting.
        slope_sd, slope_group, slope_rate, slope_own: the same of slopes.
        walk, walk_own: of a step of one unit away from the line: by learning rate, of a setting.
        noise: of one run.
        decades: of learning rate within which settings of a group are alike.
        across: how alike settings of two groups are at one distance below the frontier, as a correlation.
    """

    slope: float = -0.4
    level: float = 1.0
    level_group: float = 0.3
    level_rate: float = 0.4
    level_own: float = 0.05
    slope_sd: float = 0.25
    slope_group: float = 0.1
    slope_rate: float = 0.15
    slope_own: float = 0.05
    walk: float = 0.15
    walk_own: float = 0.1
    noise: float = 0.06
    decades: float = 0.6
    across: float = 0.7

    @classmethod
    def names(cls) -> list[str]:
        """Of its numbers."""
        return [field.name for field in fields(cls)]


PRIOR = CurvePrior()


class LossCurves:
    """The posterior of the losses of runs that do not diverge."""

    def __init__(self, runs: RunsByLength, distances: Floats, prior: CurvePrior = PRIOR) -> None:
        """Condition on runs.

        Args:
            runs: of which at least one was kept.
            distances: [settings] decades of learning rate above the frontier.
            prior: what is believed before.
        """
        self._settings, self._distances, self._prior = runs.settings, distances, prior
        # Losses that may be negative have no logarithm; shares of the largest gain are as they are.
        self._takes_logarithms = bool((runs.unit == runs.untrained).all())
        kept = np.flatnonzero(~runs.diverged)
        keys = np.column_stack([runs.setting[kept], runs.steps[kept]])
        points, first, place, counts = np.unique(
            keys, axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        place = place.reshape(-1)
        values = self._forward(runs.shares[kept])
        means = np.bincount(place, values) / counts
        lengths = runs.lengths[kept][first]
        chosen = _chosen(points[:, 0], lengths, means)
        self._place, self._length, self._counts = points[chosen, 0], lengths[chosen], counts[chosen]
        covariance = self._covariance(self._place, self._length, self._place, self._length)
        covariance[np.diag_indices_from(covariance)] += prior.noise**2 / self._counts + JITTER
        self._factor = np.linalg.cholesky(covariance)
        away = means[chosen] - prior.slope * self._length
        ones = cho_solve((self._factor, True), np.ones(len(away)))
        self._mean = float(ones @ away / ones.sum())
        self._weights = cho_solve((self._factor, True), away - self._mean)
        half = solve_triangular(self._factor, away - self._mean, lower=True)
        self.log_evidence = float(-0.5 * half @ half - np.log(np.diag(self._factor)).sum())

    def predict(self, places: Floats, length: float) -> tuple[Floats, Floats]:
        """Mean and standard deviation [n] of what ``shares`` turns into shares.

        Args:
            places: [n] of settings.
            length: of the runs, in units.
        """
        prior, lengths = self._prior, np.full(len(places), length)
        across = self._covariance(self._place, self._length, places, lengths)
        seen = solve_triangular(self._factor, across, lower=True)
        before = prior.level**2 + prior.level_group**2 + prior.level_rate**2 + prior.level_own**2
        before += length**2 * (prior.slope_sd**2 + prior.slope_group**2 + prior.slope_rate**2 + prior.slope_own**2)
        before += length * (prior.walk**2 + prior.walk_own**2)
        mean = self._mean + prior.slope * length + across.T @ self._weights
        return mean, np.sqrt(np.maximum(before - (seen**2).sum(0), JITTER))

    def shares(self, values: Floats) -> Floats:
        """Shares of the untrained loss, at most 1."""
        return np.minimum(np.exp(values) if self._takes_logarithms else values, 1.0)

    def _forward(self, shares: Floats) -> Floats:
        return np.log(np.maximum(shares, SMALLEST_SHARE)) if self._takes_logarithms else shares

    def _covariance(self, left: Floats, left_length: Floats, right: Floats, right_length: Floats) -> Floats:
        prior = self._prior
        group, rate = self._likeness(
            self._settings.take(left), self._distances[left], self._settings.take(right), self._distances[right]
        )
        own = (left[:, None] == right[None, :]).astype(float)
        product = left_length[:, None] * right_length[None, :]
        shorter = np.minimum(left_length[:, None], right_length[None, :])
        level = prior.level_group**2 * group + prior.level_rate**2 * rate + prior.level_own**2 * own
        slope = prior.slope_sd**2 + prior.slope_group**2 * group + prior.slope_rate**2 * rate + prior.slope_own**2 * own
        return prior.level**2 + level + product * slope + shorter * (prior.walk**2 * rate + prior.walk_own**2 * own)

    def _likeness(
        self, left: Settings, left_away: Floats, right: Settings, right_away: Floats
    ) -> tuple[Floats, Floats]:
        """Whether two settings are of one group and threshold, and how alike their learning rates are."""
        group = (left.factors[:, None, :] == right.factors[None, :, :]).all(2)
        thresholds = np.nan_to_num(np.abs(left.thresholds[:, None] - right.thresholds[None, :]))
        group = group * np.exp(-thresholds)
        rates = _matern(np.abs(left.learning_rates[:, None] - right.learning_rates[None, :]) / self._prior.decades)
        away = _matern(np.abs(left_away[:, None] - right_away[None, :]) / self._prior.decades)
        across = self._prior.across
        return group, (1 - across) * group * rates + across * away


def _chosen(places: Floats, lengths: Floats, means: Floats) -> Floats:
    """The points that the process is made of."""
    longer = np.isin(places, places[lengths > 0])
    others = np.flatnonzero(~longer)
    lowest = others[np.argsort(means[others], kind="stable")[:MOST_SETTINGS]]
    return np.sort(np.concatenate([np.flatnonzero(longer), lowest]))


def _matern(scaled: Floats) -> Floats:
    """Matern's correlation of smoothness 5/2."""
    away = np.sqrt(5) * scaled
    return np.asarray((1 + away + away**2 / 3) * np.exp(-away))
