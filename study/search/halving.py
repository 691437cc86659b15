"""Which setting gets the next fresh run: few for each finalist, then those that may be the best, then the best."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.frontier.places import Ints
from gradstudy.study.worth.observed import Settings
from gradstudy.study.worth.proof import PROOF_RUNS
from gradstudy.study.worth.worth import Worth

FINALISTS = 8
FEWEST_RUNS_EACH = 2
"""Fresh runs of each finalist."""
RIVALS = 3
"""Finalists that are compared once each had its first runs."""
RUNS_PER_FINALIST = 4
"""Of all fresh runs: with few of them there are fewer finalists."""
ALIKE = 0.05
"""Decades of learning rate and threshold within which two settings are too much alike to compare them."""
BESIDE = 4
"""Fresh runs at half and at twice the learning rate of the best setting."""
STEPS = (0.5, 2.0)


@dataclass(frozen=True)
class FreshRun:
    """The next fresh run.

    Attributes:
        setting: its place among those observed.
        step: by what its learning rate is multiplied.
    """

    setting: int
    step: float = 1.0


def finalists(worth: Worth, settings: Settings, shares: Floats, fresh: Ints, runs: int) -> Ints:
    """The places of the settings that get fresh runs: those that have some, and the best others.

    Half of what counts is how the runs of the setting ended, half what the model makes of it and its like: the one is
    noisy, the other may be wrong about a narrow valley.

    Args:
        worth: of the settings observed.
        settings: the same.
        shares: [n] mean of each one's runs, NaN where none ended without diverging.
        fresh: [n] how many fresh runs each has, those under way included.
        runs: fresh runs of the whole study.
    """
    wanted = max(1, min(FINALISTS, runs // RUNS_PER_FINALIST))
    had = np.flatnonzero(fresh > 0)
    rating = np.where(np.isnan(shares), np.inf, shares + worth.rating_to_prove)
    best = [int(place) for place in np.argsort(rating, kind="stable") if np.isfinite(rating[place])]
    is_safe = worth.is_safe
    safe = [place for place in best if is_safe[place]]
    # The best of those known to be safe and the best of all take turns: the answer must be one of the former.
    turns = [place for turn in zip_longest(safe, best) for place in turn if place is not None]
    chosen = [int(place) for place in had]
    for place in turns:
        if len(chosen) >= wanted:
            break
        if not _is_like(settings, place, chosen):
            chosen.append(place)
    return np.array(chosen, np.int64)


def _is_like(settings: Settings, place: int, others: Sequence[int]) -> bool:
    """Whether a setting differs from one of the others by less than is worth a fresh run."""
    factors, threshold, rate = settings.factors[place], settings.thresholds[place], settings.learning_rates[place]
    return any(
        bool((settings.factors[other] == factors).all())
        and abs(settings.learning_rates[other] - rate) < ALIKE
        and not abs(settings.thresholds[other] - threshold) >= ALIKE
        for other in others
    )


def next_fresh_run(worth: Worth, chosen: Ints, best: int, fresh: Ints, beside: dict[float, int], left: int) -> FreshRun:
    """The next fresh run: a few of each finalist, then of those that may be the best, at last of the best one.

    Args:
        worth: of the settings observed.
        chosen: the places of the finalists among them.
        best: the place of the one that is the best by now.
        fresh: [n] how many fresh runs each has, those under way included.
        beside: how many runs there are at a step from the learning rate of the best finalist, by step.
        left: how many fresh runs may begin still, this one included.
    """
    few = chosen[fresh[chosen] < FEWEST_RUNS_EACH]
    if len(few):
        return FreshRun(int(few[np.argmin(fresh[few])]))
    missing = max(PROOF_RUNS - int(fresh[best]), 0)
    steps = [step for step, runs in beside.items() if runs < BESIDE]
    if missing and left <= missing + sum(BESIDE - beside[step] for step in steps):
        return FreshRun(best)
    if steps and left <= sum(BESIDE - beside[step] for step in steps):
        return FreshRun(best, min(steps, key=lambda step: beside[step]))
    rivals = chosen[np.argsort(worth.rating_to_prove[chosen] - worth.sd[chosen])[:RIVALS]]
    return FreshRun(int(rivals[np.argmin(fresh[rivals])]))
