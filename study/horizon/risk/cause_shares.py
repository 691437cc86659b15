"""By which cause those runs diverge that are beyond a frontier, or that fail far below it: shares that add up to 1.

Near a frontier most have not recovered yet, far beyond it most blow up. The shares of each of three bands of distance
have a Dirichlet distribution; within a band they do not depend on the setting, nor on the length.
"""

import numpy as np

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.frontier.places import Ints
from gradstudy.study.horizon.beliefs import RiskPrior
from gradstudy.study.horizon.causes import CAUSES
from gradstudy.study.horizon.risk.moving_frontiers import MovingFrontiers
from gradstudy.study.horizon.runs_by_length import RunsByLength
from gradstudy.study.worth.risk import FAR_BELOW

BANDS = (-FAR_BELOW, 0.3)
"""Decades above the frontier at which a band ends and the next one begins."""
FAR, NEAR, BEYOND = range(len(BANDS) + 1)


class CauseShares:
    """The expected shares of the causes."""

    def __init__(self, runs: RunsByLength, frontiers: MovingFrontiers, prior: RiskPrior) -> None:
        """Count the runs of a study that diverged."""
        self._frontiers, self._rates = frontiers, runs.settings.learning_rates
        counts = np.array(prior.shares) + band_counts(runs, frontiers)
        self._shares = counts / counts.sum(1, keepdims=True)

    @property
    def far_below(self) -> Floats:
        """Of short runs that fail far below their frontier, [causes]."""
        return np.asarray(self._shares[FAR])

    def beyond(self, places: Ints, length: float) -> Floats:
        """Of runs of settings that are beyond their frontier in runs of so many units of length, [n, causes]."""
        away = (self._rates - self._frontiers.moved(length)[0])[places]
        return np.asarray(self._shares[np.where(away < BANDS[1], NEAR, BEYOND)])


def band_counts(runs: RunsByLength, frontiers: MovingFrontiers) -> Floats:
    """How many runs of each band diverged by each cause, [bands, causes]."""
    found = np.zeros((len(BANDS) + 1, len(CAUSES)))
    for length in np.unique(runs.lengths):
        which = (runs.lengths == length) & runs.diverged
        setting = runs.setting[which]
        away = runs.settings.learning_rates[setting] - frontiers.moved(float(length))[0][setting]
        np.add.at(found, (np.searchsorted(BANDS, away, side="right"), runs.cause[which]), 1.0)
    return found
