"""What a run says about the log odds of its divergence.

A run is seen through its margin m = ln(s_T / l0). With a logistic latent margin u around the log odds f, a run diverges
when u > 0. One that was kept says that u <= 0, whatever its margin, which falls on the way to the frontier before it
rises. One that blew up says that u >= k m, and one that was only found worse than untrained at its end that u = k m,
where k turns nats into log odds (a Tobit model with two limits: Rosett and Nelson 1975): a run that diverged tells how
far from the frontier it was. The curve runs from 1% to 99%, because one run far from the frontier that ends on the
wrong side would otherwise turn all of it (a lapse rate, as in psychometric functions: Wichmann and Hill 2001).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

Floats = NDArray[np.float64]

ACCEPTED_RISK = 0.1
"""P(diverged) at the frontier."""
LAPSE = 0.01
"""P(diverged) far below the frontier, and P(kept) far above it."""
LEVEL = float(logit((ACCEPTED_RISK - LAPSE) / (1 - 2 * LAPSE)))
"""The log odds at the frontier."""
SMALLEST_EXACT_MARGIN = float(np.log(1.03))
"""Below it a run ended about where it began, by chance or because it lost what it had learned: only its side counts."""
LARGEST_EXACT_MARGIN = 1.5
"""Above it a run was stopped because it blew up: it would have risen further."""
SMALLEST_CHANCE = 1e-12
AT_ONCE = 4096
"""Runs of which the likelihood is computed together, and crossings times runs: what a processor's cache holds."""
TOGETHER = 64
"""Chances of which the product is taken before its logarithm: the smallest of a thousand would be no number."""


class Seen:
    """What runs tell about their log odds."""

    def __init__(self, margins: Floats, turned: float, lapse: float = LAPSE) -> None:
        """Take the margins [n] in; ``turned`` is k, which turns their nats into log odds."""
        self._turned, self._lapse = turned, lapse
        self._offset = turned * np.clip(margins, 0.0, LARGEST_EXACT_MARGIN)
        self._side = np.where(margins > 0, 1.0, -1.0)
        is_exact = (margins > SMALLEST_EXACT_MARGIN) & (margins < LARGEST_EXACT_MARGIN)
        self._exact, self._sides = np.flatnonzero(is_exact), np.flatnonzero(~is_exact)

    def told(self, log_odds: Floats) -> Floats:
        """Log likelihood, score and Fisher's information at log odds [n], [3, n]."""
        away = log_odds - self._offset
        found = np.empty((3, len(away)))
        for begin in range(0, len(away), AT_ONCE):
            part = slice(begin, begin + AT_ONCE)
            found[:, part] = _of_sides(away[part], self._side[part], self._lapse)
        found[:, self._exact] = _of_margins(away[self._exact], self._turned, self._lapse)
        return found

    def likelihood(self, heights: Floats, along: Floats) -> Floats:
        """The log likelihood of all runs together at log odds ``heights`` [places] + ``along`` [n], [places]."""
        away, total = along - self._offset, np.zeros(len(heights))
        for begin in range(0, len(self._sides), AT_ONCE):
            part = self._sides[begin : begin + AT_ONCE]
            with np.errstate(over="ignore"):  # infinite odds are none of a chance
                against = np.exp(np.multiply.outer(heights, -self._side[part]) - away[part] * self._side[part])
            total += _log_product(self._lapse + (1 - 2 * self._lapse) / (1 + against))
        for begin in range(0, len(self._exact), AT_ONCE):
            by_margins = heights[:, None] + away[self._exact[begin : begin + AT_ONCE]]
            total += _log_product(_density(by_margins, self._turned, self._lapse)[0])
        return total


def _log_product(chances: Floats) -> Floats:
    """The logarithm of the product over the last axis, [...]: products take less time than logarithms."""
    products = np.multiply.reduceat(chances, np.arange(0, chances.shape[-1], TOGETHER), axis=-1)
    return np.asarray(np.log(products).sum(-1))


def _of_sides(log_odds: Floats, side: Floats, lapse: float) -> Floats:
    """Log likelihood, score and Fisher's information, [3, n], of runs of which it is known that u > 0, or not.

    ``side`` [n] is 1 for the former and -1 for the latter. No element is chosen by it, which takes ten times as long.
    """
    lost, chain = risk(log_odds, lapse)
    seen = np.abs((1 - side) / 2 - lost)
    return np.stack([np.log(seen), chain * side / seen, chain**2 / (lost * (1 - lost))])


def _of_margins(log_odds: Floats, turned: float, lapse: float) -> Floats:
    """The same of runs of which it is known that u = 0: the logistic density, and a lapse of any margin.

    A lapse has half of its chance among these margins, per nat. The score is that of the density times the chance that
    the run is none, as in the EM algorithm.
    """
    density, regular, chance = _density(log_odds, turned, lapse)
    share = regular / density if lapse else 1.0
    return np.stack([np.log(density), share * (1 - 2 * chance), share * 2 * (chance * (1 - chance))])


def _density(log_odds: Floats, turned: float, lapse: float) -> tuple[Floats, Floats, Floats]:
    """The density of margins, the part of it that is no lapse, and the chance that u > 0, any shape."""
    chance = expit(log_odds)
    regular = (1 - 2 * lapse) * turned * (chance * (1 - chance))
    return np.maximum(regular + lapse / (2 * LARGEST_EXACT_MARGIN), SMALLEST_CHANCE), regular, chance


def risk(log_odds: Floats, lapse: float = LAPSE) -> tuple[Floats, Floats]:
    """P(diverged) and its derivative by the log odds."""
    chance = np.clip(expit(log_odds), SMALLEST_CHANCE, 1 - SMALLEST_CHANCE)
    return lapse + (1 - 2 * lapse) * chance, (1 - 2 * lapse) * chance * (1 - chance)
