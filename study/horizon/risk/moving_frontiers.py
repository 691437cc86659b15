"""Where frontiers are in longer runs: they move by the same number of decades with each unit of length.

Near a frontier short runs are above their untrained loss because they have not recovered yet; the longer they are, the
more of them have. So a run of some length at a learning rate tells what a short one at a rate that is as much lower
would have told. The posterior is summed over grids of the movement, of how steeply the risk rises and of each
frontier's position, as edges are often so sharp that no approximation by a Gaussian holds.
"""

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit, log_expit, logsumexp

from gradstudy.study.frontier.likelihood import LAPSE, LEVEL, Floats
from gradstudy.study.frontier.places import Ints
from gradstudy.study.horizon.beliefs import RiskPrior
from gradstudy.study.horizon.runs_by_length import RunsByLength

SHIFTS = np.linspace(-2.5, 2.5, 11)
"""Of the standard deviations of the movement, those that are compared."""
SLOPES = np.array([8.0, 25.0, 80.0])
"""Log odds for each decade that are compared."""
AROUND, BETWEEN = 1.5, 0.02
"""Decades around where the short runs have a frontier in which it is looked for, and from one place to the next."""
NEARBY = 0.3
"""Decades below where the short runs have a frontier, within which a late failure is a matter of the frontier."""
POSITION_SD = 0.5
"""Of a frontier around there, before any run of its own is seen."""


class MovingFrontiers:
    """The posterior of movement, steepness and positions.

    Attributes:
        shift: [shifts] decades for each unit of length that are compared.
        weights: [shifts] how probable each is.
    """

    def __init__(self, runs: RunsByLength, middles: Floats, prior: RiskPrior) -> None:
        """Condition on all runs.

        Args:
            runs: of the study.
            middles: [settings] decades of learning rate at which the frontier of each is expected in the shortest runs.
            prior: what is believed before.
        """
        self._runs, self._group = runs, runs.groups()
        self.shift = prior.shift + prior.shift_sd * SHIFTS
        size = int(self._group.max()) + 1
        counts = np.bincount(self._group, minlength=size)
        self._middle = np.bincount(self._group, middles, size) / counts
        self._away = np.arange(-AROUND, AROUND + BETWEEN / 2, BETWEEN)
        setting, lengths, lost = _with_stopped(runs, runs.settings.learning_rates - middles)
        group = self._group[setting]
        of_group = csr_array((np.ones(len(group)), (group, np.arange(len(group)))), shape=(size, len(group)))
        decades = runs.settings.learning_rates[setting] - self._middle[group]
        before = -0.5 * (self._away / POSITION_SD) ** 2
        before -= logsumexp(before)
        self._positions = np.empty((len(self.shift), len(SLOPES), size, len(self._away)))
        evidence = np.empty((len(self.shift), len(SLOPES)))
        for place, shift in enumerate(self.shift):
            above = (decades - shift * lengths)[:, None] - self._away
            for steepness, slope in enumerate(SLOPES):
                odds = LEVEL + slope * above
                told = np.log(LAPSE + (1 - 2 * LAPSE) * expit(np.where(lost[:, None], odds, -odds)))
                joint = before + of_group @ told
                total = logsumexp(joint, axis=1)
                evidence[place, steepness] = total.sum() - 0.5 * SHIFTS[place] ** 2
                self._positions[place, steepness] = np.exp(joint - total[:, None])
        self._weights = np.exp(evidence - logsumexp(evidence))
        self.weights = self._weights.sum(1)

    def moved(self, length: float) -> tuple[Floats, Floats]:
        """Where the frontier of each setting is in runs of so many units, in decades, and its standard deviation."""
        at = self._middle[:, None] + self._away + self.shift[:, None, None] * length
        weights = (self._weights[:, :, None, None] * self._positions).sum(1)
        mean = (weights * at).sum((0, 2))
        variance = (weights * (at - mean[:, None]) ** 2).sum((0, 2))
        return mean[self._group], np.sqrt(variance)[self._group]

    def chances(self, places: Ints, length: float) -> tuple[Floats, Floats]:
        """The mean [n] of P(diverged) of settings in runs of so many units, and its variance."""
        group = self._group[places]
        decades = self._runs.settings.learning_rates[places] - self._middle[group]
        mean, square = np.zeros(len(places)), np.zeros(len(places))
        for place, shift in enumerate(self.shift):
            above = (decades - shift * length)[:, None] - self._away
            for steepness, slope in enumerate(SLOPES):
                chance = np.exp(log_expit(LEVEL + slope * above))
                weights = self._weights[place, steepness] * self._positions[place, steepness, group]
                mean += (weights * chance).sum(1)
                square += (weights * chance**2).sum(1)
        return mean, np.maximum(square - mean**2, 0.0)


def _with_stopped(
    runs: RunsByLength, above: Floats
) -> tuple[Ints, Floats, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
    """Setting, length and whether it diverged of each run; those that were stopped would have been in longer ones.

    What a late failure far below the frontier, by ``above`` [settings], would have been without it is not known: it is
    left out.
    """
    told = ~(runs.failed_late & (above[runs.setting] < -NEARBY))
    again = runs.stopped & told & (runs.lengths < runs.lengths.max())
    return (
        np.concatenate([runs.setting[told], runs.setting[again]]),
        np.concatenate([runs.lengths[told], np.full(int(again.sum()), runs.lengths.max())]),
        np.concatenate([runs.diverged[told], runs.diverged[again]]),
    )
