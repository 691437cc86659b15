"""The loss of runs that do not diverge: a Gaussian process over all settings of a study.

Below the frontier losses of all settings have a like shape, so a part of the covariance depends on the distance to the
frontier alone; what one cell adds to it, one strategy at a threshold, or one value of a factor, are further parts. What
a group has for itself depends on its learning rates and thresholds. A setting has a nugget, which all its runs share,
and the noise of a run grows towards the frontier. Hyperparameters are those with the highest posterior density
(Rasmussen and Williams 2006, chapter 5), found anew as runs are added from where they were.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.worth.observed import STRATEGY, Settings

SHAPE, CELL, PER_STRATEGY, VALUE, GROUP = 0.05, 0.01, 0.02, 0.01, 0.02
"""Prior medians of the variances, in squares of the untrained loss: the common shape, what a cell adds, a strategy, a
value of another factor, and a group for itself."""
DISTANCE, THRESHOLD, RATE = 0.6, 1.2, 0.6
"""Prior medians of the decades of distance to the frontier, threshold and learning rate within which losses are alike.
"""
NUGGET, FLOOR, AT_FRONTIER = 4e-4, 6e-4, 4e-3
"""Prior medians of the variances of a setting for itself, of a run anywhere, and of what the frontier adds to that."""
VARIANCE_SD, DISTANCE_SD, THRESHOLD_SD = 1.0, 0.4, 0.5
"""Standard deviations of the logarithms, of learning rates like that of distances."""
FURTHEST = 3.0
"""Standard deviations of the prior beyond which no hyperparameter is looked for."""
SEARCH_STEPS = 15
NOISE_DECADES, NOISE_ABOVE = 0.5, 0.3
"""Within so many decades the noise falls by a factor of e below the frontier; above it, it rises no further."""
JITTER = 1e-7
LOWEST, HIGHEST = -3.0, 1.0
"""Decades from the frontier beyond which no distance is told from another."""


@dataclass(frozen=True)
class Predicted:
    """The expected share of settings, given that no run diverges.

    Attributes:
        mean: [n].
        sd: [n] standard deviation of what all runs of a setting have in common.
        seen: [observed, n] what the observed settings tell, for covariances.
    """

    mean: Floats
    sd: Floats
    seen: Floats


class LossProcess:
    """The posterior of the share of the untrained loss at which runs of a setting end."""

    def __init__(
        self,
        settings: Settings,
        distances: Floats,
        shares: Floats,
        runs: NDArray[np.int64],
        start: Floats | None = None,
        *,
        search: bool = True,
    ) -> None:
        """Fit.

        Args:
            settings: [n] that have runs that did not diverge.
            distances: [n] of these, decades above the frontier.
            shares: [n] means over these runs.
            runs: [n] how many there are.
            start: hyperparameters of an earlier fit.
            search: whether to look for better ones than these.
        """
        self._settings, self._distances, self._runs = settings, distances.clip(LOWEST, HIGHEST), runs
        self._shares = shares
        self._prior, self._prior_sd = _prior(settings.factors.shape[1])
        self._near = _Nearness(settings, self._distances, settings, self._distances)
        self.hyperparameters = self._prior if start is None else start
        if search:
            from scipy.optimize import minimize  # which takes long to load

            bounds = [
                (middle - FURTHEST * sd, middle + FURTHEST * sd)
                for middle, sd in zip(self._prior, self._prior_sd, strict=True)
            ]
            found = minimize(
                self._objective, self.hyperparameters, jac=True, method="L-BFGS-B", bounds=bounds,
                options={"maxiter": SEARCH_STEPS},
            )  # fmt: skip
            self.hyperparameters = np.asarray(found.x)
        covariance = self._near.covariance(self.hyperparameters)
        covariance[np.diag_indices_from(covariance)] += self._own(self.hyperparameters)
        self._factor = np.linalg.cholesky(covariance)
        ones = cho_solve((self._factor, True), np.ones(len(shares)))
        self._mean = float(ones @ shares / ones.sum())
        self._weights = cho_solve((self._factor, True), shares - self._mean)

    def predict(self, settings: Settings, distances: Floats, own: NDArray[np.int64] | None = None) -> Predicted:
        """The expected shares.

        Args:
            settings: [n] to ask about.
            distances: [n] of these.
            own: [n] the place of each among the fitted ones; -1 for one that is not among them.
        """
        theta = self.hyperparameters
        across = _Nearness(self._settings, self._distances, settings, distances.clip(LOWEST, HIGHEST)).covariance(theta)
        nugget = np.exp(theta[-3])
        if own is not None:
            known = np.flatnonzero(own >= 0)
            across[own[known], known] += nugget
        seen = solve_triangular(self._factor, across, lower=True)
        prior = np.exp(theta[: len(theta) - 6]).sum() + nugget
        variance = np.maximum(prior - (seen**2).sum(0), JITTER)
        return Predicted(self._mean + across.T @ self._weights, np.sqrt(variance), seen)

    def covariance(self, settings: Settings, distances: Floats, predicted: Predicted) -> Floats:
        """The posterior covariance [n, n] of what is predicted of settings, without what each has for itself."""
        distances = distances.clip(LOWEST, HIGHEST)
        prior = _Nearness(settings, distances, settings, distances).covariance(self.hyperparameters)
        return np.asarray(prior - predicted.seen.T @ predicted.seen)

    def run_variance(self, distances: Floats) -> Floats:
        """The variance [n] of one run around what its setting is worth."""
        return np.asarray(_noise(self.hyperparameters, distances.clip(LOWEST, HIGHEST)))

    @property
    def nugget(self) -> float:
        """The variance that a setting has for itself."""
        return float(np.exp(self.hyperparameters[-3]))

    def _own(self, theta: Floats) -> Floats:
        return np.asarray(np.exp(theta[-3]) + _noise(theta, self._distances) / self._runs + JITTER)

    def _objective(self, theta: Floats) -> tuple[float, Floats]:
        """The negative logarithm of the hyperparameters' posterior density, up to a constant, and its gradient.

        The mean is that of generalised least squares; the density is profiled over it.
        """
        covariance, derivatives = self._near.with_derivatives(theta)
        covariance[np.diag_indices_from(covariance)] += self._own(theta)
        factor = np.linalg.cholesky(covariance)
        inverse = cho_solve((factor, True), np.eye(len(covariance)))
        ones = inverse.sum(1)
        away = self._shares - ones @ self._shares / ones.sum()
        weights = inverse @ away
        off = (theta - self._prior) / self._prior_sd
        value = 0.5 * away @ weights + np.log(np.diag(factor)).sum() + 0.5 * (off**2).sum()
        slope = inverse - np.outer(weights, weights)
        floor, edge = np.exp(theta[-2]), _at_frontier(theta, self._distances)
        own = np.diag(slope)
        gradient = [np.vdot(slope, each) for each in derivatives]
        gradient += [np.exp(theta[-3]) * own.sum(), (own * floor / self._runs).sum(), (own * edge / self._runs).sum()]
        return float(value), 0.5 * np.array(gradient) + off / self._prior_sd


class _Nearness:
    """How near settings are to each other, as far as it does not depend on hyperparameters, [n, m] each."""

    def __init__(self, left: Settings, left_distances: Floats, right: Settings, right_distances: Floats) -> None:
        self._same = [a[:, None] == b[None, :] for a, b in zip(left.factors.T, right.factors.T, strict=True)]
        self._group = np.logical_and.reduce(self._same)
        self._distance = np.abs(left_distances[:, None] - right_distances[None, :])
        self._threshold = np.nan_to_num(np.abs(left.thresholds[:, None] - right.thresholds[None, :]))
        self._rate = np.abs(left.learning_rates[:, None] - right.learning_rates[None, :])

    def covariance(self, theta: Floats) -> Floats:
        """Of what settings have in common, [n, m]."""
        return self._parts(theta)[0]

    def with_derivatives(self, theta: Floats) -> tuple[Floats, list[Floats]]:
        """It, and its derivatives by the logarithms of the variances and decades."""
        return self._parts(theta)

    def _parts(self, theta: Floats) -> tuple[Floats, list[Floats]]:
        variances, decades = np.exp(theta[:-6]), np.exp(theta[-6:-3])
        (distance, by_distance), (threshold, by_threshold), (rate, by_rate) = (
            _matern(away, length)
            for away, length in zip((self._distance, self._threshold, self._rate), decades, strict=True)
        )
        parts = [variances[0] * distance]
        for column, (variance, same) in enumerate(zip(variances[1:-1], self._same, strict=True)):
            parts.append(variance * distance * (same * threshold if column == STRATEGY else same))
        parts.append(variances[-1] * self._group * threshold * rate)
        of_distance = sum(parts[1:-1], start=parts[0])
        of_threshold = parts[1 + STRATEGY] + parts[-1]
        return of_distance + parts[-1], [
            *parts, of_distance * by_distance, of_threshold * by_threshold, parts[-1] * by_rate,
        ]  # fmt: skip


def _matern(away: Floats, length: float) -> tuple[Floats, Floats]:
    """Matern's correlation of smoothness 5/2, and its derivative by the logarithm of the length over itself."""
    scaled = np.sqrt(5) / length * away
    rest = 1 + scaled + scaled**2 / 3
    return rest * np.exp(-scaled), scaled**2 / 3 * (1 + scaled) / rest


def _noise(theta: Floats, distances: Floats) -> Floats:
    return np.asarray(np.exp(theta[-2]) + _at_frontier(theta, distances))


def _at_frontier(theta: Floats, distances: Floats) -> Floats:
    return np.asarray(np.exp(theta[-1] + np.minimum(distances, NOISE_ABOVE) / NOISE_DECADES))


def _prior(factors: int) -> tuple[Floats, Floats]:
    """Middles and standard deviations of the hyperparameters: logarithms of variances, of decades, of the noise."""
    others = factors - STRATEGY - 1
    variances, decades = [SHAPE, CELL, PER_STRATEGY, *[VALUE] * others, GROUP], [DISTANCE, THRESHOLD, RATE]
    middles = [*variances, *decades, NUGGET, FLOOR, AT_FRONTIER]
    spreads = [*[VARIANCE_SD] * (4 + others), DISTANCE_SD, THRESHOLD_SD, DISTANCE_SD, *[VARIANCE_SD] * 3]
    return np.log(middles), np.array(spreads)
