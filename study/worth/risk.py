"""How likely a setting is to diverge: by the frontiers of the study, at its own learning rate and threshold."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, ndtri

from gradstudy.study.frontier.fit import MOST_TARGETS
from gradstudy.study.frontier.likelihood import LEVEL, Floats, risk
from gradstudy.study.frontier.places import Ints, Places, Runs
from gradstudy.study.frontier.posterior import FrontierModel
from gradstudy.study.frontier.prior import Readings
from gradstudy.study.worth.observed import BIN, STRATEGY, Observed, Settings

FAR_BELOW = 0.5
"""Decades below its frontier from which on a run that diverges tells of no frontier."""
PRIOR_LAPSE_RUNS, PRIOR_LAPSES = 50.0, 0.5
"""Runs far below their frontier that the prior counts for, and how many of them diverged: one of a hundred."""
HELD_LOST, HELD_KEPT = 0.5, 0.5
"""Where one learning rate was tried, what counts are added to: Jeffreys' prior. Frontiers need several."""
SMALLEST_SD = 1e-3
MOST_PRIOR_RUNS = 50.0
"""For how many runs of a setting what the frontiers say of it counts at most."""
# Of equal weight: over a wide range of positions the risk is nearly a step, of which a few Gaussian nodes make stairs.
_NODES = ndtri((np.arange(101) + 0.5) / 101)


Read = Callable[[Floats, float], Readings]
"""From targets, [targets, factors + 1] with the beginning of the bin of threshold last, in decades, and the middle of
the learning rates, in decades, to what another study says of them."""


@dataclass(frozen=True)
class Chances:
    """What is known of P(diverged) of each setting: a beta distribution.

    Attributes:
        lost: [n] its first parameter.
        kept: [n] its second parameter.
    """

    lost: Floats
    kept: Floats

    @property
    def mean(self) -> Floats:
        """Expected, [n]."""
        return np.asarray(self.lost / (self.lost + self.kept), np.float64)

    @property
    def sd(self) -> Floats:
        """Standard deviation, [n]."""
        return np.asarray(np.sqrt(self.mean * (1 - self.mean) / (self.lost + self.kept + 1)))

    def below(self, limit: float) -> Floats:
        """The probability [n] that P(diverged) is at most ``limit``."""
        return np.asarray(betainc(self.lost, self.kept, limit), np.float64)

    def shown_below(self, limit: float, confidence: float, runs: int) -> Floats:
        """The probability [n] that after so many further runs P(diverged) is at most ``limit`` with ``confidence``."""
        from scipy.stats import betabinom  # which takes half a second to load

        lost = np.arange(runs + 1)[:, None]
        shows = betainc(self.lost + lost, self.kept + (runs - lost), limit) >= confidence
        return np.asarray((betabinom.pmf(lost, runs, self.lost, self.kept) * shows).sum(0), np.float64)


class Risk:
    """P(diverged) by the frontiers, of which those in the same block learn from each other."""

    def __init__(self, observed: Observed, others: Settings | None = None, read: Read | None = None) -> None:
        """Fit the frontiers by the runs that are not fresh: fresh ones speak for their own setting.

        Args:
            observed: runs that have ended.
            others: settings that will be asked about; those observed always can be.
            read: what another study found, where the frontiers may rest on that, too.
        """
        known = observed.settings if others is None else observed.settings.joined(others)
        self._keys, target = _targets(known)
        self._middle = float((known.learning_rates.min() + known.learning_rates.max()) / 2)
        self.crossings, self._sd, self._slope = (np.zeros(len(self._keys)) for _ in range(3))
        searching = ~observed.fresh
        setting = observed.setting[searching]
        decades = observed.settings.learning_rates[setting] - self._middle
        self._counts: tuple[Floats, Floats] | None = None
        if np.ptp(known.learning_rates) == 0:
            self._counts = self._counted(target[setting], observed.diverged[searching])
            self.lapse = 0.0
            return
        for block in _blocks(self._keys):
            number = np.full(len(self._keys), -1)
            number[block] = np.arange(len(block))
            mine = number[target[setting]] >= 0
            runs = Runs(number[target[setting]][mine].astype(np.int64), decades[mine])
            keys = self._keys[block]
            readings = None if read is None else read(keys, self._middle)
            model = FrontierModel(_places(keys), runs, observed.margins[searching][mine], Runs.none(), readings)
            self.crossings[block], self._sd[block], self._slope[block] = model.crossing, model.sd, model.best.slope
        away = decades - self._at_thresholds(self.crossings, observed.settings)[setting]
        far = away < -FAR_BELOW
        lapses = int((far & observed.diverged[searching]).sum())
        self.lapse = (lapses + PRIOR_LAPSES) / (int(far.sum()) + PRIOR_LAPSE_RUNS)
        """How often runs diverge that are far below their frontier."""

    def distances(self, settings: Settings) -> Floats:
        """Decades [n] of learning rate above the frontier at the setting's own threshold, negative below it."""
        crossing = self._at_thresholds(self.crossings, settings) + self._middle
        return np.asarray(settings.learning_rates - crossing)

    def chances(self, settings: Settings, fresh: Ints | None = None, fresh_diverged: Ints | None = None) -> Chances:
        """What is known of P(diverged).

        Args:
            settings: that are asked about.
            fresh: [n] how many fresh runs each had.
            fresh_diverged: [n] how many of these diverged.
        """
        lost, kept = (
            self._by_frontiers(settings)
            if self._counts is None
            else (self._at_thresholds(values, settings) for values in self._counts)
        )
        if fresh is None or fresh_diverged is None:
            return Chances(lost, kept)
        return Chances(lost + fresh_diverged, kept + fresh - fresh_diverged)

    def _counted(self, target: Ints, diverged: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """How many runs [targets] diverged of each target and how many were kept, on top of the prior."""
        lost, kept = (
            np.bincount(target[which], minlength=len(self._keys)).astype(np.float64) for which in (diverged, ~diverged)
        )
        return np.asarray(HELD_LOST + lost), np.asarray(HELD_KEPT + kept)

    def _by_frontiers(self, settings: Settings) -> tuple[Floats, Floats]:
        """The parameters of the beta distribution that the frontiers make probable, [n] each."""
        slope = self._at_thresholds(self._slope, settings)
        log_odds = LEVEL + slope * self.distances(settings)
        spread = slope * self._at_thresholds(self._sd, settings)
        by_edge, _ = risk(log_odds[:, None] + spread[:, None] * _NODES, lapse=0.0)
        chance = self.lapse + (1 - self.lapse) * by_edge
        mean = chance.mean(1)
        variance = np.maximum(chance.var(1), SMALLEST_SD**2)
        strength = np.clip(mean * (1 - mean) / variance - 1, 1.0, MOST_PRIOR_RUNS)
        return mean * strength, (1 - mean) * strength

    def _at_thresholds(self, values: Floats, settings: Settings) -> Floats:
        """What the targets have, at thresholds between the middles of their bins."""
        found = np.empty(len(settings))
        groups = settings.groups()
        for group in range(int(groups.max(initial=-1)) + 1):
            mine = np.flatnonzero(groups == group)
            targets = np.flatnonzero((self._keys[:, :-1] == settings.factors[mine[0]]).all(1))
            middles = self._keys[targets, -1] + BIN / 2
            # Beyond the outermost middles, and of one target alone, the nearest one counts.
            found[mine] = np.interp(np.nan_to_num(settings.thresholds[mine]), np.nan_to_num(middles), values[targets])
        return found


def _targets(settings: Settings) -> tuple[Floats, Ints]:
    """The targets, [targets, factors + 1] with the beginning of the bin last, and the place of each setting's."""
    bins = settings.bins()
    beginnings, of_bins = np.unique(bins, return_inverse=True)  # NaN comes last
    numbers = settings.groups() * len(beginnings) + of_bins
    _, first, target = np.unique(numbers, return_index=True, return_inverse=True)
    return np.column_stack([settings.factors[first].astype(float), bins[first]]), target.astype(np.int64)


def _blocks(keys: Floats) -> list[NDArray[np.int64]]:
    """The targets that are fitted together; those of each choice of what is varied alone where all are too many."""
    if len(keys) <= MOST_TARGETS:
        return [np.arange(len(keys))]
    _, choice = np.unique(keys[:, STRATEGY + 1 : -1], axis=0, return_inverse=True)
    return [np.flatnonzero(choice.reshape(-1) == each) for each in range(int(choice.max()) + 1)]


def _places(keys: Floats) -> Places:
    factors = keys[:, :-1].astype(np.int64)
    strategies = np.unique(factors[:, STRATEGY])
    axes = [np.where(factors[:, STRATEGY] == strategy, keys[:, -1] + BIN / 2, np.nan) for strategy in strategies]
    return Places(factors, np.stack(axes, 1))
