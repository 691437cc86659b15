"""P(diverge by a step) of runs longer than those of a study.

A run can blow up, can collapse, or can be above its untrained loss because it has not recovered yet. The last is what
short runs near the frontier do: the longer they are, the more recover, so that the frontier moves, by the same number
of decades in each unit of length. Runs that were kept can fail later: a discrete hazard for each unit of length, with a
frailty of each setting. Where no failure was seen, its upper end is about three over the units that were watched.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv
from scipy.stats import norm

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.horizon.runs_by_length import RunsByLength
from gradstudy.study.worth.observed import Settings
from gradstudy.study.worth.risk import Chances, Risk

SHIFT, SHIFT_SD = 0.05, 0.07
"""Decades that the frontier moves up in one unit of length, and how well that is known before longer runs are seen."""
SHIFTS = np.linspace(-3, 3, 13)
"""Of these standard deviations that are compared."""
PRIOR_FAILURES, PRIOR_UNITS = 0.2, 20.0
"""Late failures that the prior counts for, and units of length of kept runs."""
OWN_FRAILTY = 0.5
"""What a setting's own units of length count, beside those of all."""
FEWEST, MOST = 1.0, 200.0
"""Runs that what is known of a risk counts for."""


@dataclass(frozen=True)
class LateRisk:
    """What is known of the risk at a horizon.

    Attributes:
        shift: [shifts] decades for each unit of length that are compared.
        weights: [shifts] how probable each is.
    """

    runs: RunsByLength
    short: Risk
    shift: Floats
    weights: Floats

    @classmethod
    def of(cls, runs: RunsByLength) -> "LateRisk":
        """Fit to runs."""
        short = Risk(runs.shortest_only(), runs.settings)
        shift = SHIFT + SHIFT_SD * SHIFTS
        longer = np.flatnonzero(runs.lengths > 0)
        log_likely = norm.logpdf(SHIFTS)
        if len(longer):
            settings = runs.settings.take(runs.setting[longer])
            for place, each in enumerate(shift):
                chance = _shifted(short, settings, each * runs.lengths[longer]).mean
                log_likely[place] += np.log(np.where(runs.diverged[longer], chance, 1 - chance)).sum()
        likely = np.exp(log_likely - log_likely.max())
        return cls(runs, short, shift, likely / likely.sum())

    def distances(self) -> Floats:
        """Decades [settings] above the frontier of the shortest runs."""
        return self.short.distances(self.runs.settings)

    def chances(self, places: Floats, length: float) -> Chances:
        """What is known of P(diverge) of settings [n] in runs of so many units of length."""
        runs = self.runs
        settings = runs.settings.take(places)
        each = [_shifted(self.short, settings, np.full(len(places), shift * length)) for shift in self.shift]
        means, squares = (np.stack([getattr(chance, name) for chance in each]) for name in ("mean", "sd"))
        mean = self.weights @ means
        variance = self.weights @ (squares**2 + (means - mean) ** 2)
        failures, watched = self._late()
        late_mean, late_variance = self._late_of(places, failures, watched, length)
        kept = (1 - mean) * (1 - late_mean)
        spread = variance * (1 - late_mean) ** 2 + (1 - mean) ** 2 * late_variance
        chances = _beta(1 - kept, spread)
        longest = runs.longest[places]
        at_longest = np.isin(runs.setting, places) & (runs.steps == runs.longest[runs.setting]) & (runs.lengths > 0)
        lost = np.bincount(runs.setting[at_longest & runs.diverged], minlength=len(runs.table))[places]
        made = np.bincount(runs.setting[at_longest], minlength=len(runs.table))[places]
        del longest
        return Chances(chances.lost + lost, chances.kept + made - lost)

    def _late(self) -> tuple[Floats, Floats]:
        """Failures [settings] after the length of the shortest runs, and the units of length that runs were watched."""
        runs = self.runs
        longer = runs.lengths > 0
        end = np.log(np.maximum(runs.at, runs.shortest) / runs.shortest) / np.log(4)
        failed = longer & runs.stopped & (runs.at > runs.shortest)
        watched = np.where(longer & (runs.at >= runs.shortest), end, 0.0)
        size = len(runs.table)
        return np.bincount(runs.setting, failed, size), np.bincount(runs.setting, watched, size)

    def _late_of(self, places: Floats, failures: Floats, watched: Floats, length: float) -> tuple[Floats, Floats]:
        lost = PRIOR_FAILURES + failures.sum() + OWN_FRAILTY * failures[places]
        units = PRIOR_UNITS + watched.sum() + OWN_FRAILTY * watched[places]
        left = np.maximum(
            length - np.array([self.runs.lengths[self.runs.setting == place].max() for place in places]), 0.0
        )
        mean, variance = lost / units, lost / units**2
        return 1 - np.exp(-mean * left), variance * left**2


def interval(chances: Chances, within: float = 0.9) -> tuple[Floats, Floats]:
    """The ends [n] of the interval of a probability."""
    low, high = (1 - within) / 2, (1 + within) / 2
    return betaincinv(chances.lost, chances.kept, low), betaincinv(chances.lost, chances.kept, high)


def _shifted(risk: Risk, settings: Settings, by: Floats) -> Chances:
    return risk.chances(settings.at(settings.learning_rates - by))


def _beta(mean: Floats, variance: Floats) -> Chances:
    mean = np.clip(mean, 1e-4, 1 - 1e-4)
    strength = np.clip(mean * (1 - mean) / np.maximum(variance, 1e-12) - 1, FEWEST, MOST)
    return Chances(mean * strength, (1 - mean) * strength)
