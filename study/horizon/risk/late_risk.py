"""P(diverge by a step) of runs longer than those of a study, by cause.

Risks compete. A run is above its untrained loss because it has not recovered yet: that is a matter of the frontier,
which moves. Or it was kept, and blows up or collapses later: a discrete hazard of each cause for each unit of length.
What is known of a setting is a Dirichlet distribution: P(diverged) is the sum of what each cause has of it.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import betaincinv

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.frontier.places import Ints
from gradstudy.study.horizon.beliefs import RiskPrior
from gradstudy.study.horizon.causes import BLOW_UP, CAUSES, COLLAPSE, NO_RECOVERY
from gradstudy.study.horizon.risk.cause_shares import CauseShares
from gradstudy.study.horizon.risk.late_hazard import LateHazard
from gradstudy.study.horizon.risk.moving_frontiers import POSITION_SD, MovingFrontiers
from gradstudy.study.horizon.runs_by_length import FACTOR, RunsByLength
from gradstudy.study.worth.risk import Chances, Risk

USUAL = 0.01
"""Risk of a late failure far below the frontier, roughly."""
LATE = (BLOW_UP, COLLAPSE)
"""Causes by which a run fails that was kept at first."""
WEAKEST, STRONGEST = 0.5, 200.0
"""Runs that what is known of a risk counts for."""
SURE = 1e-4
"""No risk is known to be nearer to 0 or 1."""


@dataclass(frozen=True)
class Competing:
    """What is known of the causes of each setting: a Dirichlet distribution.

    Attributes:
        lost: [n, causes] its parameters for ``CAUSES``.
        kept: [n] its parameter for runs that do not diverge.
    """

    lost: Floats
    kept: Floats

    @property
    def chances(self) -> Chances:
        """Of P(diverged), by whatever cause."""
        return Chances(np.asarray(self.lost.sum(1)), self.kept)

    @property
    def means(self) -> Floats:
        """Expected P(diverged by this cause), [n, causes]."""
        return np.asarray(self.lost / (self.lost.sum(1) + self.kept)[:, None])


@dataclass(frozen=True)
class LateRisk:
    """What is known of the risk of the settings of a study in longer runs.

    Attributes:
        runs: of the study.
        frontiers: where they move.
        shares: of causes among runs that are beyond a frontier, or failed far below it in a short run.
        hazards: of each cause of ``LATE``.
        lapse: how often short runs diverge far below their frontier.
    """

    runs: RunsByLength
    frontiers: MovingFrontiers
    shares: CauseShares
    hazards: tuple[LateHazard, ...]
    lapse: float

    @classmethod
    def of(cls, runs: RunsByLength, prior: RiskPrior) -> Self:
        """Fit to runs."""
        short = Risk(runs.shortest_only(), runs.settings)
        rates = runs.settings.learning_rates
        # Of one learning rate alone no frontier is known.
        middles = rates - short.distances(runs.settings) if np.ptp(rates) > 0 else rates + POSITION_SD
        frontiers = MovingFrontiers(runs, middles, prior)
        failures, units = late_failures(runs, frontiers)
        away = rates - frontiers.moved(0.0)[0]
        hazards = tuple(LateHazard(failures[cause], units, away, prior.hazards[cause]) for cause in LATE)
        return cls(runs, frontiers, CauseShares(runs, frontiers, prior), hazards, short.lapse)

    def competing(self, places: Ints, length: float) -> Competing:
        """What is known of the causes by which settings [n] have diverged in runs of so many units of length."""
        beyond, variance = self.frontiers.chances(places, length)
        late, late_variance = self._late_failure(places, length)
        fails = self.lapse + (1 - self.lapse) * late
        kept = (1 - beyond) * (1 - fails)
        spread = variance * (1 - fails) ** 2 + (1 - beyond) ** 2 * (1 - self.lapse) ** 2 * late_variance
        chances = _beta(1 - kept, spread)
        at_first = (1 - beyond) * self.lapse
        parts = beyond[:, None] * self.shares.beyond(places, length) + at_first[:, None] * self.shares.far_below
        parts += (1 - beyond - at_first)[:, None] * late[:, None] * self._late_shares(places, length)
        made, lost = self._own()
        of_each = parts / parts.sum(1, keepdims=True) * chances.lost[:, None]
        return Competing(of_each + lost[places], chances.kept + made[places] - lost[places].sum(1))

    def _late_failure(self, places: Ints, length: float) -> tuple[Floats, Floats]:
        """The mean [n] of the probability that a run fails after the length of the shortest, and its variance."""
        first, second = np.ones(len(places)), np.ones(len(places))
        for hazard in self.hazards:
            kept, square = hazard.survival(places, length)
            first, second = first * kept, second * square
        return 1 - first, np.maximum(second - first**2, 0.0)

    def _late_shares(self, places: Ints, length: float) -> Floats:
        """Of runs that fail so, the share [n, causes] of each cause: by their hazards, as these do not change."""
        found = np.zeros((len(places), len(CAUSES)))
        for cause, hazard in zip(LATE, self.hazards, strict=True):
            found[:, cause] = hazard.cumulative(places, max(length, SURE))
        return np.asarray(found / found.sum(1, keepdims=True))

    def _own(self) -> tuple[Ints, Ints]:
        """Of each setting how many runs [settings] it has that are the longest ones of it and not short; lost ones.

        The latter [settings, causes] by cause.
        """
        runs = self.runs
        counts = (runs.steps == runs.longest[runs.setting]) & (runs.lengths > 0)
        size = len(runs.table)
        made = np.bincount(runs.setting[counts], minlength=size)
        lost = [np.bincount(runs.setting[counts & (runs.cause == each)], minlength=size) for each in range(len(CAUSES))]
        return made, np.stack(lost, 1)


def late_failures(runs: RunsByLength, frontiers: MovingFrontiers) -> tuple[Floats, Floats]:
    """Failures [causes, settings] after the length of the shortest runs, and the units of length that were watched.

    A failure counts as far as the frontier does not explain it: with the share that ``USUAL`` has of both risks. What
    ends above its untrained loss though short runs were kept has lost what it had learned, too: a collapse. When within
    its run a collapse came is not known: half of it was watched.
    """
    explained = np.zeros(len(runs.setting))
    for length in np.unique(runs.lengths):
        of_length = runs.lengths == length
        explained[of_length] = frontiers.chances(runs.setting[of_length], float(length))[0]
    failed = np.where(runs.failed_late, USUAL / (USUAL + explained), 0.0)
    units = np.log(np.maximum(runs.at, runs.shortest) / runs.shortest) / np.log(FACTOR)
    units = np.where(runs.diverged, failed * np.where(runs.stopped, units, units / 2), units)
    by_cause = np.zeros((len(CAUSES), len(runs.setting)))
    by_cause[np.where(runs.cause == NO_RECOVERY, COLLAPSE, runs.cause), np.arange(len(failed))] = failed
    size = len(runs.table)
    failures = np.array([np.bincount(runs.setting, each, size) for each in by_cause], np.float64)
    return failures, np.bincount(runs.setting, units, size).astype(np.float64)


def interval(chances: Chances, within: float = 0.9) -> tuple[Floats, Floats]:
    """The ends [n] of the interval of a probability."""
    low, high = (betaincinv(chances.lost, chances.kept, (1 + sign * within) / 2) for sign in (-1, 1))
    return np.asarray(low, np.float64), np.asarray(high, np.float64)


def _beta(mean: Floats, variance: Floats) -> Chances:
    """The beta distribution of this mean and variance."""
    mean = np.clip(mean, SURE, 1 - SURE)
    strength = np.clip(mean * (1 - mean) / np.maximum(variance, SURE**2) - 1, WEAKEST, STRONGEST)
    return Chances(mean * strength, (1 - mean) * strength)
