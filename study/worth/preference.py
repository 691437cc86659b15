"""Which of several settings is the best: the lowest J at an acceptable risk, and of equals the one that is safer."""

import numpy as np
from numpy.typing import NDArray

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.frontier.places import Ints
from gradstudy.study.worth.worth import Worth

TIE = 0.003
"""Of the untrained loss: settings that differ by less, and by less than what is known of them, are equally good. With
0.01 the regret at 96 trials of ``copy`` was 0.073 instead of 0.063 (standard errors 0.009 and 0.006)."""


def is_tested(fresh: Ints) -> NDArray[np.bool_]:
    """Which settings [n] have enough fresh runs to be the best: half of those that any has, and all where none has any.

    A setting with two fresh runs that ended well is not better known than its rival with twenty.
    """
    return np.asarray(2 * fresh >= fresh.max(initial=0))


def best_place(
    worth: Worth,
    pool: NDArray[np.bool_],
    confirmed: NDArray[np.bool_],
    effort: Floats,
    *,
    only_safe: bool = True,
) -> int:
    """The place of the best one in the pool.

    It has the lowest J among those whose risk is known to be acceptable; where there are none, the best rating. Of
    those that are about as good, one that fresh runs have confirmed comes first; then the lower risk decides, in whole
    percent, then the wider distance to the frontier, in tenths of a decade, then the effort.

    Args:
        worth: of the settings.
        pool: [n] which of them count, at least one.
        confirmed: [n] whether fresh runs alone show that its risk is acceptable.
        effort: [n] how much code each takes.
        only_safe: whether those not known to be safe are out where others are; else they are rated down.
    """
    safe = pool & worth.is_safe & only_safe
    rating = np.where(safe, worth.expected, np.inf) if safe.any() else np.where(pool, worth.rating, np.inf)
    best = int(np.argmin(rating))
    tied = [int(place) for place in np.flatnonzero(rating <= rating[best] + min(TIE, worth.sd[best]))]
    risk, distance = worth.chances.mean.round(2), worth.distances.round(1)

    def order(place: int) -> tuple[float, ...]:
        return not confirmed[place], risk[place], distance[place], effort[place], rating[place]

    return min(tied, key=order)
