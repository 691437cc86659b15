"""An interval on a rate that holds however often one looks, so that runs can be added until it is narrow enough.

A fixed-sample interval, looked at after every round and stopped when it pleases, is wrong more often than it says. Here
the runs are a bet against each rate p: the likelihood of the data averaged over a prior, divided by that under p, is a
martingale if p is the truth, so the chance that it ever exceeds 1 / alpha is at most alpha (Ville 1939). The rates for
which it does not are a confidence sequence (Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021, arXiv 1810.08240).
The prior decides how narrow it is at which rates, not whether it holds.
"""

import math

from scipy.special import betaln, xlog1py, xlogy

from gradstudy.study.statistics.rates import CONFIDENCE

PRIOR_DIVERGED, PRIOR_KEPT = 0.5, 4.5
"""Beta prior with mean 10%, the risk at the frontier, and the weight of five runs: narrow where few runs diverge."""


def anytime_interval(diverged: int, runs: int, settings: int = 1) -> tuple[float, float]:
    """The 95% confidence sequence of a divergence rate, (low, high); (0, 1) when there are no runs.

    Args:
        diverged: how many of the runs did.
        runs: of one setting, independent of each other.
        settings: how many settings are watched at once; the intervals of all of them hold together with 95%
            (Bonferroni), so that the one that looks best may be chosen by them.
    """
    from scipy.optimize import brentq  # slow to import, and few reports need it

    if runs == 0:
        return 0.0, 1.0
    kept, rate = runs - diverged, diverged / runs
    bet = betaln(PRIOR_DIVERGED + diverged, PRIOR_KEPT + kept) - betaln(PRIOR_DIVERGED, PRIOR_KEPT)
    limit = math.log(settings / (1 - CONFIDENCE))

    def excess(p: float) -> float:
        return float(bet - xlogy(diverged, p) - xlog1py(kept, -p) - limit)

    # The excess is convex in p and negative at the observed rate; towards 0 and 1 it grows without bound, where it can.
    low = 0.0 if diverged == 0 else brentq(excess, 1e-300, rate)
    high = 1.0 if kept == 0 else brentq(excess, rate, 1 - 1e-16)
    return float(low), float(high)
