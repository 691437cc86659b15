"""Where the losses of longer runs end, and how far the settings of this study differ from the law that all follow."""

from dataclasses import replace

import numpy as np

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.frontier.places import Ints
from gradstudy.study.horizon.beliefs import CurvePrior
from gradstudy.study.horizon.curve_process import JITTER, CurveProcess
from gradstudy.study.horizon.runs_by_length import RunsByLength

SMALLEST_SHARE = 1e-6
SPREADS = (
    "slope_sd", "slope_cell", "slope_group", "slope_rate", "slope_own", "walk_cell", "walk", "walk_own", "noise",
)  # fmt: skip
"""Of a prior, what differs by the same factor in studies whose runs are more alike, or less."""
FACTORS = np.exp(np.linspace(-0.7, 1.05, 6))
"""These factors, as they are compared."""
FACTORS_SD = 0.6
"""Of their logarithm."""


class LossCurves:
    """The posterior of the losses of runs that do not diverge, averaged over how alike the runs of the study are."""

    def __init__(self, runs: RunsByLength, prior: CurvePrior) -> None:
        """Condition on runs, of which at least one was kept."""
        # Losses that may be negative have no logarithm; shares of the largest gain are as they are.
        self._takes_logarithms = bool((runs.unit == runs.untrained).all())
        values = np.log(np.maximum(runs.shares, SMALLEST_SHARE)) if self._takes_logarithms else runs.shares
        away = runs.from_best_rate()
        spreads = [{name: factor * getattr(prior, name) for name in SPREADS} for factor in FACTORS]
        self._processes = [CurveProcess(runs, values, away, replace(prior, **spread)) for spread in spreads]
        evidence = np.array([process.log_evidence for process in self._processes])
        evidence -= 0.5 * (np.log(FACTORS) / FACTORS_SD) ** 2
        likely = np.exp(evidence - evidence.max())
        self._weights = likely / likely.sum()

    def predict(self, places: Ints, length: float) -> tuple[Floats, Floats]:
        """Mean and standard deviation [n] of what ``shares`` turns into shares.

        Args:
            places: [n] of settings.
            length: of the runs, in units.
        """
        means, covariances = self._each(places, length)
        variances = np.maximum(np.diagonal(covariances, axis1=1, axis2=2), JITTER)
        mean = self._weights @ means
        return mean, np.sqrt(self._weights @ (variances + (means - mean) ** 2))

    def draws(self, places: Ints, length: float, normal: Floats) -> Floats:
        """What ``predict`` is the mean of, drawn for all settings together, [draws, n].

        Args:
            places: [n] of settings.
            length: of the runs, in units.
            normal: [draws, n] independent numbers of the standard normal distribution.
        """
        means, covariances = self._each(places, length)
        which = np.searchsorted(np.cumsum(self._weights)[:-1], (np.arange(len(normal)) + 0.5) / len(normal))
        values, vectors = np.linalg.eigh(covariances)
        # The symmetric root: eigenvectors may have either sign, by the machine's rounding.
        roots = (vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]) @ vectors.transpose(0, 2, 1)
        return np.asarray(means[which] + np.einsum("dij,dj->di", roots[which], normal))

    def _each(self, places: Ints, length: float) -> tuple[Floats, Floats]:
        """What each process predicts: means [processes, n] and covariances [processes, n, n]."""
        means, covariances = zip(*(process.predict(places, length) for process in self._processes), strict=True)
        return np.array(means), np.array(covariances)

    def noise(self, places: Ints, length: float) -> Floats:
        """The standard deviation [n] of one run of settings around that."""
        return np.asarray(self._weights @ np.array([process.noise(places, length) for process in self._processes]))

    def shares(self, values: Floats, noise: Floats) -> Floats:
        """The expected shares of the untrained loss, at most 1, of runs with so much noise."""
        return np.asarray(np.minimum(np.exp(values + noise**2 / 2) if self._takes_logarithms else values, 1.0))
