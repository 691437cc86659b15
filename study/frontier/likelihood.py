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


class Seen:
    """What runs tell about their log odds."""

    def __init__(self, margins: Floats, turned: float, lapse: float = LAPSE) -> None:
        """Take the margins [n] in; ``turned`` is k, which turns their nats into log odds."""
        self._turned, self._lapse = turned, lapse
        self._offset = turned * np.clip(margins, 0.0, LARGEST_EXACT_MARGIN)
        self._diverged = margins > 0
        self._exact = self._diverged & (margins > SMALLEST_EXACT_MARGIN) & (margins < LARGEST_EXACT_MARGIN)

    def told(self, log_odds: Floats) -> Floats:
        """Log likelihood, score and Fisher's information at log odds [n] or [..., n], [3, ..., n]."""
        away, exact = log_odds - self._offset, self._exact
        found = np.empty((3, *away.shape))
        found[..., exact] = _of_margins(away[..., exact], self._turned, self._lapse)
        found[..., ~exact] = _of_sides(away[..., ~exact], self._diverged[~exact], self._lapse)
        return found

    def likelihood(self, log_odds: Floats) -> Floats:
        """The log likelihood of all runs together at log odds [..., n], [...]."""
        away, exact = log_odds - self._offset, self._exact
        lost, _ = risk(away[..., ~exact], self._lapse)
        sides = np.log(np.where(self._diverged[~exact], lost, 1 - lost)).sum(-1)
        return np.asarray(sides + _of_margins(away[..., exact], self._turned, self._lapse)[0].sum(-1), np.float64)


def _of_sides(log_odds: Floats, diverged: NDArray[np.bool_], lapse: float) -> Floats:
    """Log likelihood, score and Fisher's information, [3, n], of runs of which it is known that u > 0, or not."""
    lost, chain = risk(log_odds, lapse)
    seen = np.where(diverged, lost, 1 - lost)
    score = np.where(diverged, chain, -chain) / seen
    return np.stack([np.log(seen), score, chain**2 / (lost * (1 - lost))])


def _of_margins(log_odds: Floats, turned: float, lapse: float) -> Floats:
    """The same of runs of which it is known that u = 0: the logistic density, and a lapse of any margin.

    A lapse has half of its chance among these margins, per nat. The score is that of the density times the chance that
    the run is none, as in the EM algorithm.
    """
    chance = expit(log_odds)
    spread = chance * (1 - chance)
    regular = (1 - 2 * lapse) * turned * spread
    density = np.maximum(regular + lapse / (2 * LARGEST_EXACT_MARGIN), SMALLEST_CHANCE)
    share = regular / density if lapse else 1.0
    return np.stack([np.log(density), share * (1 - 2 * chance), share * 2 * spread])


def risk(log_odds: Floats, lapse: float = LAPSE) -> tuple[Floats, Floats]:
    """P(diverged) and its derivative by the log odds."""
    chance = np.clip(expit(log_odds), SMALLEST_CHANCE, 1 - SMALLEST_CHANCE)
    return lapse + (1 - 2 * lapse) * chance, (1 - 2 * lapse) * chance * (1 - chance)
