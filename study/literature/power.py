"""How small a difference of two rates so many runs can show, by the intervals that verdicts are based on.

Everything is computed for rates around one half, where chance is largest: rates near 0 or 1 show smaller differences.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from gradstudy.study.statistics.rates import newcombe_interval, wilson_interval

POWER = 0.8
"""The probability with which a difference is to be seen."""
CANDIDATES = np.arange(1, 101) / 100
"""Differences, in whole points."""


@cache
def smallest_difference(first: int, second: int) -> float:
    """The smallest difference whose 95% interval lies above 0 with a probability of ``POWER``; 1 where none does.

    Args:
        first: runs of the group with the higher rate.
        second: runs of the other one.
    """
    low, _ = _intervals(first, second)
    for difference in CANDIDATES:
        higher, lower = _probabilities(first, (1 + difference) / 2), _probabilities(second, (1 - difference) / 2)
        if float((higher[:, None] * lower * (low > 0)).sum()) >= POWER:
            return float(difference)
    return 1.0


@cache
def smallest_margin(first: int, second: int) -> float:
    """The smallest margin within which the interval lies with that probability where both rates are equal.

    A claim that there is no difference, which an interval of a few runs cannot but hold, can be shown to that margin.
    """
    low, high = _intervals(first, second)
    equal = _probabilities(first, 0.5)[:, None] * _probabilities(second, 0.5)
    for margin in CANDIDATES:
        if float((equal * ((low > -margin) & (high < margin))).sum()) >= POWER:
            return float(margin)
    return 1.0


@cache
def smallest_share(runs: int) -> float:
    """The smallest share of exceptions of which at least one is among the runs with that probability."""
    return float(1 - (1 - POWER) ** (1 / runs))


def _intervals(first: int, second: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the interval of the first rate less the second, for every pair of counts [first + 1, second + 1]."""
    of_first, of_second = (
        np.array([(count / runs, *wilson_interval(count, runs)) for count in range(runs + 1)]).T
        for runs in (first, second)
    )
    return newcombe_interval(of_second[:, None, :], of_first[:, :, None])


def _probabilities(runs: int, rate: float) -> NDArray[np.float64]:
    """Of every count from 0 to ``runs``, [runs + 1]."""
    return np.diff(bdtr(np.arange(runs + 1, dtype=float), runs, rate), prepend=0.0)
