"""The loss of runs that did not diverge, by group, threshold and distance below the frontier: a Gaussian process.

Below the frontier the loss of all groups has a like shape, so the learning rate counts by how far below the
frontier it is. Losses are ranked, because one that hardly learned would otherwise decide about the scale.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import ndtri

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.frontier.places import Ints, Places

SHAPE_VARIANCE, FACTOR_VARIANCE, GROUP_VARIANCE, CURVE_VARIANCE = 0.6, 0.3, 0.1, 0.2
"""Of the shape that all groups share, of what a factor's value adds, a group, and a group at one threshold."""
NOISE_VARIANCE = 0.05
REACH = 0.5
"""Decades of learning rate within which losses are alike."""
OPTIMISM = 2.0
"""Standard deviations by which an expected loss is lowered: with one, studies settled on the first good strategy."""
MOST_RUNS = 200
"""The best of them are kept."""


class LossModel:
    """The posterior of the normal scores of the losses."""

    def __init__(self, places: Places, target: Ints, distances: Floats, losses: Floats) -> None:
        """Fit.

        Args:
            places: the targets.
            target: [n] of each run.
            distances: [n] decades above the target's frontier, negative below it.
            losses: [n], small is good.
        """
        shared, same, near = places.likeness()
        self._alike = SHAPE_VARIANCE + FACTOR_VARIANCE * shared + same * (GROUP_VARIANCE + CURVE_VARIANCE * near)
        scores = ndtri((_ranks(losses) - 0.5) / len(losses))
        best = np.argsort(losses, kind="stable")[:MOST_RUNS]
        self._target, self._distances = target[best], distances[best]
        prior = self._covariance(self._target, self._distances)
        prior[np.diag_indices_from(prior)] += NOISE_VARIANCE
        self._factor = np.tril(cho_factor(prior, lower=True, overwrite_a=True)[0])
        self._alpha = cho_solve((self._factor, True), scores[best])

    def optimistic(self, target: Ints, distances: Floats) -> Floats:
        """The expected score less ``OPTIMISM`` standard deviations, [n]."""
        across = self._covariance(target, distances)
        seen = solve_triangular(self._factor, across, lower=True)
        variance = np.diag(self._alike)[target] - (seen**2).sum(0)
        return np.asarray(across.T @ self._alpha - OPTIMISM * np.sqrt(np.maximum(variance, 1e-9)))

    def _covariance(self, target: Ints, distances: Floats) -> Floats:
        """Between the runs and others, [runs, n]."""
        near = np.exp(-0.5 * ((self._distances[:, None] - distances[None, :]) / REACH) ** 2)
        return np.asarray(self._alike[np.ix_(self._target, target)] * near)


def _ranks(numbers: Floats) -> Floats:
    """From 1, of equal ones the mean; ``scipy.stats`` has it too, but takes half a second to load in each worker."""
    ordered = np.sort(numbers)
    return np.asarray((np.searchsorted(ordered, numbers) + np.searchsorted(ordered, numbers, side="right") + 1) / 2)
