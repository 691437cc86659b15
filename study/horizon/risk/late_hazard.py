"""How often runs that were kept fail later by one cause: a discrete hazard for each unit of length.

It rises by the same factor with each decade of learning rate up to the frontier; each setting has a frailty, which
its hazard is multiplied by. Both are summed over a grid; given them, the frailties have gamma distributions. Where no
failure was seen, the upper end of the hazard is about three over the units that were watched.
"""

import numpy as np
from scipy.special import gammaln, logsumexp

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.frontier.places import Ints
from gradstudy.study.horizon.beliefs import HazardPrior

BELOW = 0.5
"""Decades below the frontier where a hazard is what its prior says; the rise is counted from there."""
FURTHEST_BELOW = 1.5
"""Decades below the frontier beyond which a hazard falls no more; above the frontier it rises no more."""
HAZARDS = np.geomspace(1e-6, 10.0, 57)
"""That are compared, for each unit of length."""
RISES = np.array([0.0, 3.0, 6.0, 10.0, 15.0])
"""Of the logarithm of a hazard for each decade, that are compared."""
FRAILTY = 1.0
"""Shape of the gamma distribution of mean 1 that frailties have: of two settings one is often three times as frail."""


def counted_from(distances: Floats) -> Floats:
    """Decades [settings] above where hazards are what their prior says, of distances above the frontier."""
    return np.asarray(np.clip(distances, -FURTHEST_BELOW, 0.0) + BELOW)


class LateHazard:
    """The posterior of the hazard of one cause."""

    def __init__(self, failures: Floats, units: Floats, distances: Floats, prior: HazardPrior) -> None:
        """Condition on what was seen.

        Args:
            failures: [settings] by this cause.
            units: [settings] of length that runs were watched.
            distances: [settings] decades of learning rate above the frontier.
            prior: what is believed before.
        """
        self._failures = failures
        self._rates = HAZARDS[:, None, None] * np.exp(RISES[:, None] * counted_from(distances))
        self._watched = self._rates * units
        told = gammaln(FRAILTY + failures) - gammaln(FRAILTY) + FRAILTY * np.log(FRAILTY)
        told = told + failures * np.log(self._rates) - (FRAILTY + failures) * np.log(FRAILTY + self._watched)
        before = prior.failures * np.log(HAZARDS) - prior.units * HAZARDS
        rises = -0.5 * ((RISES - prior.rise) / prior.rise_sd) ** 2
        joint = told.sum(2) + before[:, None] + rises
        self._weights = np.exp(joint - logsumexp(joint))

    @property
    def rise(self) -> float:
        """Of the logarithm of the hazard for each decade, expected."""
        return float(self._weights.sum(0) @ RISES)

    def survival(self, places: Ints, length: float) -> tuple[Floats, Floats]:
        """The mean [n] of the probability that this cause has not ended a run by so many units, and of its square."""
        first, second = (self._moment(places, times * length) for times in (1, 2))
        return first, second

    def cumulative(self, places: Ints, length: float) -> Floats:
        """The expected hazard [n] of runs of settings, summed over so many units of length."""
        rates, watched = self._rates[:, :, places], self._watched[:, :, places]
        frail = (FRAILTY + self._failures[places]) / (FRAILTY + watched)
        return np.asarray(np.einsum("hr,hrn->n", self._weights, frail * rates * length))

    def _moment(self, places: Ints, length: float) -> Floats:
        known = FRAILTY + self._watched[:, :, places]
        kept = (known / (known + self._rates[:, :, places] * length)) ** (FRAILTY + self._failures[places])
        return np.asarray(np.einsum("hr,hrn->n", self._weights, kept))
