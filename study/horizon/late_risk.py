"""P(diverge by a step) of runs longer than those of a study.

Risks compete. A run is above its untrained loss because it has not recovered yet: that is a matter of the frontier,
which moves. Or it was kept, and blows up or collapses later: a discrete hazard for each unit of length, with a frailty
of each setting. Where no failure was seen, its upper end is about three over the units that were watched.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import betaincinv

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.frontier.places import Ints
from gradstudy.study.horizon.beliefs import RiskPrior
from gradstudy.study.horizon.moving_frontiers import POSITION_SD, MovingFrontiers
from gradstudy.study.horizon.runs_by_length import FACTOR, RunsByLength
from gradstudy.study.worth.risk import Chances, Risk

USUAL = 0.01
"""Risk of a late failure far below the frontier, roughly."""
OWN_FRAILTY = 4.0
"""How much more a setting's own units of length count than those of others."""
WEAKEST, STRONGEST = 0.5, 200.0
"""Runs that what is known of a risk counts for."""
SURE = 1e-4
"""No risk is known to be nearer to 0 or 1."""


@dataclass(frozen=True)
class LateRisk:
    """What is known of the risk of the settings of a study in longer runs.

    Attributes:
        runs: of the study.
        frontiers: where they move.
        prior: what was believed before.
        lapse: how often short runs diverge far below their frontier.
    """

    runs: RunsByLength
    frontiers: MovingFrontiers
    prior: RiskPrior
    lapse: float

    @classmethod
    def of(cls, runs: RunsByLength, prior: RiskPrior) -> Self:
        """Fit to runs."""
        short = Risk(runs.shortest_only(), runs.settings)
        rates = runs.settings.learning_rates
        # Of one learning rate alone no frontier is known.
        middles = rates - short.distances(runs.settings) if np.ptp(rates) > 0 else rates + POSITION_SD
        return cls(runs, MovingFrontiers(runs, middles, prior), prior, short.lapse)

    def chances(self, places: Ints, length: float) -> Chances:
        """What is known of P(diverged) of settings [n] in runs of so many units of length."""
        mean, variance = self.frontiers.chances(places, length)
        late, late_variance = self._late_failure(places, length)
        fails = self.lapse + (1 - self.lapse) * late
        kept = (1 - mean) * (1 - fails)
        spread = variance * (1 - fails) ** 2 + (1 - mean) ** 2 * (1 - self.lapse) ** 2 * late_variance
        made, lost = (each[places] for each in self._own())
        chances = _beta(1 - kept, spread)
        return Chances(chances.lost + lost, chances.kept + made - lost)

    def late(self) -> tuple[Floats, Floats]:
        """Failures [settings] after the length of the shortest runs, and the units of length that were watched.

        A failure counts as far as the frontier does not explain it: with the share that ``USUAL`` has of both risks.
        """
        runs = self.runs
        units = np.log(np.maximum(runs.at, runs.shortest) / runs.shortest) / np.log(FACTOR)
        explained = np.zeros(len(runs.setting))
        for length in np.unique(runs.lengths):
            of_length = runs.lengths == length
            explained[of_length] = self.frontiers.chances(runs.setting[of_length], float(length))[0]
        failed = np.where(runs.diverged & (runs.at > runs.shortest), USUAL / (USUAL + explained), 0.0)
        size = len(runs.table)
        failures, watched = (np.bincount(runs.setting, each, size) for each in (failed, units))
        return failures.astype(np.float64), watched.astype(np.float64)

    def _late_failure(self, places: Ints, length: float) -> tuple[Floats, Floats]:
        """The mean [n] of the probability that a run fails after the length of the shortest, and its variance.

        The hazard has a gamma distribution: failures, and units of length.
        """
        failures, watched = self.late()
        lost = self.prior.failures + failures.sum() + (OWN_FRAILTY - 1) * failures[places]
        units = self.prior.units + watched.sum() + (OWN_FRAILTY - 1) * watched[places]
        # Of a gamma distribution: the moments of exp(-hazard * length).
        first = (1 + length / units) ** -lost
        second = (1 + 2 * length / units) ** -lost
        return 1 - first, np.maximum(second - first**2, 0.0)

    def _own(self) -> tuple[Ints, Ints]:
        """Of each setting [settings] how many runs it has that are the longest ones of it and not short, and lost."""
        runs = self.runs
        counts = (runs.steps == runs.longest[runs.setting]) & (runs.lengths > 0)
        size = len(runs.table)
        made = np.bincount(runs.setting[counts], minlength=size)
        return made, np.bincount(runs.setting[counts & runs.diverged], minlength=size)


def interval(chances: Chances, within: float = 0.9) -> tuple[Floats, Floats]:
    """The ends [n] of the interval of a probability."""
    low, high = (betaincinv(chances.lost, chances.kept, (1 + sign * within) / 2) for sign in (-1, 1))
    return np.asarray(low, np.float64), np.asarray(high, np.float64)


def _beta(mean: Floats, variance: Floats) -> Chances:
    """The beta distribution of this mean and variance."""
    mean = np.clip(mean, SURE, 1 - SURE)
    strength = np.clip(mean * (1 - mean) / np.maximum(variance, SURE**2) - 1, WEAKEST, STRONGEST)
    return Chances(mean * strength, (1 - mean) * strength)
