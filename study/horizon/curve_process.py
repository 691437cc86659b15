"""The logarithms of losses by setting and length: a Gaussian process over settings and the logarithm of the steps.

The logarithm of a setting's loss is a line over the logarithm of the steps, which is a power law, and a random walk
around it. Lines of one study are alike: their heights and their slopes have a part that all settings share, one of the
group, and one that depends on the learning rate. That is freeze-thaw's idea (Swersky, Snoek and Adams 2014), with power
laws in place of exponentials.
"""

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.frontier.places import Ints
from gradstudy.study.horizon.beliefs import CurvePrior
from gradstudy.study.horizon.runs_by_length import RunsByLength

JITTER = 1e-8
NOISY = 1.0
"""Decades from the best learning rate beyond which the noise of a run changes no more."""
MOST_SETTINGS = 200
"""Settings that the process is made of: those with longer runs, and of the others the lowest."""


class CurveProcess:
    """The posterior of the losses of runs that do not diverge."""

    def __init__(self, runs: RunsByLength, values: Floats, distances: Floats, prior: CurvePrior) -> None:
        """Condition on runs.

        Args:
            runs: of which at least one was kept.
            values: [n] logarithms of their losses, or whatever else stands for these.
            distances: [settings] decades of learning rate above that where the short runs of its group ended lowest.
            prior: what is believed before.
        """
        self._settings, self._distances, self._prior = runs.settings, distances, prior
        kept = np.flatnonzero(~runs.diverged)
        keys = np.column_stack([runs.setting[kept], runs.steps[kept]])
        points, first, place, counts = np.unique(
            keys, axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        place = place.reshape(-1)
        values = values[kept]
        means = np.bincount(place, values) / counts
        squares = np.bincount(place, (values - means[place]) ** 2)
        lengths = runs.lengths[kept][first]
        chosen = _chosen(points[:, 0], lengths, means)
        self._place, self._length = points[chosen, 0], lengths[chosen]
        noise, more = self.noise(self._place, self._length) ** 2, counts[chosen] - 1
        covariance = self._covariance(self._place, self._length, self._place, self._length)
        covariance[np.diag_indices_from(covariance)] += noise / counts[chosen] + JITTER
        self._factor = np.linalg.cholesky(covariance)
        away = means[chosen] - self._slope(self._place) * self._length
        ones = cho_solve((self._factor, True), np.ones(len(away)))
        self._mean = float(ones @ away / ones.sum())
        self._weights = cho_solve((self._factor, True), away - self._mean)
        half = solve_triangular(self._factor, away - self._mean, lower=True)
        between = -0.5 * half @ half - np.log(np.diag(self._factor)).sum()
        self.log_evidence = float(between - 0.5 * (squares[chosen] / noise + more * np.log(noise)).sum())

    def noise(self, places: Ints, lengths: Floats | float) -> Floats:
        """The standard deviation [n] of one run of settings around what ``predict`` says."""
        above = self._distances[places].clip(-NOISY, NOISY)
        prior = self._prior
        return np.asarray(prior.noise * np.exp(prior.noise_length * lengths + prior.noise_rate * above))

    def predict(self, places: Ints, length: float) -> tuple[Floats, Floats]:
        """Mean [n] and covariance [n, n] of what stands for the losses.

        Args:
            places: [n] of settings.
            length: of the runs, in units.
        """
        lengths = np.full(len(places), length)
        across = self._covariance(self._place, self._length, places, lengths)
        seen = solve_triangular(self._factor, across, lower=True)
        mean = self._mean + self._slope(places) * length + across.T @ self._weights
        return mean, self._covariance(places, lengths, places, lengths) - seen.T @ seen

    def _slope(self, places: Ints) -> Floats:
        return np.asarray(self._prior.slope + self._prior.tilt * self._distances[places])

    def _covariance(self, left: Ints, left_length: Floats, right: Ints, right_length: Floats) -> Floats:
        prior = self._prior
        cell, group, rate = self._likeness(left, right)
        own = left[:, None] == right[None, :]
        product = left_length[:, None] * right_length[None, :]
        shorter = np.minimum(left_length[:, None], right_length[None, :])
        level = prior.level**2 + prior.level_cell**2 * cell + prior.level_group**2 * group
        level += prior.level_rate**2 * rate + prior.level_own**2 * own
        slope = prior.slope_sd**2 + prior.slope_cell**2 * cell + prior.slope_group**2 * group
        slope += prior.slope_rate**2 * rate + prior.slope_own**2 * own
        walk = prior.walk_cell**2 * cell + prior.walk**2 * rate + prior.walk_own**2 * own
        return np.asarray(level + product * slope + shorter * walk)

    def _likeness(self, left: Ints, right: Ints) -> tuple[Floats, Floats, Floats]:
        """Whether settings [n] and [m] are of one cell, of one group, and how alike their learning rates are."""
        of_left, of_right = self._settings.take(left), self._settings.take(right)
        cell = of_left.factors[:, None, 0] == of_right.factors[None, :, 0]
        same = (of_left.factors[:, None, :] == of_right.factors[None, :, :]).all(2)
        group = same * np.exp(-_between(of_left.thresholds, of_right.thresholds))
        decades, across = self._prior.decades, self._prior.across
        rates = group * _matern(_between(of_left.learning_rates, of_right.learning_rates) / decades)
        away = _matern(_between(self._distances[left], self._distances[right]) / decades)
        return cell.astype(float), group, (1 - across) * rates + across * away


def _between(left: Floats, right: Floats) -> Floats:
    """How far [n, m] values are apart; those that are missing are not."""
    return np.nan_to_num(np.abs(left[:, None] - right[None, :]))


def _chosen(places: Ints, lengths: Floats, means: Floats) -> Ints:
    """The points that the process is made of."""
    longer = np.isin(places, places[lengths > 0])
    others = np.flatnonzero(~longer)
    lowest = others[np.argsort(means[others], kind="stable")[:MOST_SETTINGS]]
    return np.sort(np.concatenate([np.flatnonzero(longer), lowest]))


def _matern(scaled: Floats) -> Floats:
    """Matern's correlation of smoothness 5/2."""
    away = np.sqrt(5) * scaled
    return np.asarray((1 + away + away**2 / 3) * np.exp(-away))
