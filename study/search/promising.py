"""Where J may be lowest: a batch of settings by its lower bound."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from gradstudy.study.frontier.places import Ints
from gradstudy.study.worth.observed import Settings
from gradstudy.study.worth.worth import WorthModel

BATCH = 4
"""Settings that are chosen by one fit."""
MOST_OF_A_GROUP = 2
"""Settings of one group in a batch: what its losses have in common may be wrong."""
OPTIMISM = 1.0
"""Standard deviations by which J is lowered."""
SHORTLISTED_OPTIMISM = 2.0
SHORTLISTED = 40
"""Candidates of each group that are compared."""


def promising(model: WorthModel, candidates: Settings, pending: Settings) -> list[int]:
    """The places of the candidates that are to be run, at most ``BATCH``.

    One after the other is chosen, as if it had ended as expected: each narrows what is known of those like it
    (GP-BUCB: Desautels et al. 2014).

    Args:
        model: of what settings are worth.
        candidates: to choose from.
        pending: settings under way, which count as those that were chosen before.
    """
    worth = model.of(candidates)
    groups = candidates.groups()
    bound = worth.rating - SHORTLISTED_OPTIMISM * worth.sd
    kept = np.concatenate([each[np.argsort(bound[each])[:SHORTLISTED]] for each in _by_group(groups)])
    both = pending.joined(candidates.take(kept))
    worth, first = model.of(both), len(pending)
    predicted = model.losses.predict(both, worth.distances)
    covariance = model.losses.covariance(both, worth.distances, predicted)
    noise = model.losses.run_variance(worth.distances) + model.losses.nugget
    survives = 1 - worth.chances.mean
    at_risk = ((1 - worth.share) * worth.chances.sd) ** 2
    for place in range(first):
        covariance -= np.outer(covariance[place], covariance[place]) / (covariance[place, place] + noise[place])
    chosen: list[int] = []
    of_group: Counter[int] = Counter()
    open_ = np.arange(len(both)) >= first
    while len(chosen) < BATCH and open_.any():
        sd = np.sqrt(survives**2 * np.maximum(np.diag(covariance), 0) + at_risk)
        place = int(np.argmin(np.where(open_, worth.rating - OPTIMISM * sd, np.inf)))
        covariance -= np.outer(covariance[place], covariance[place]) / (covariance[place, place] + noise[place])
        candidate = int(kept[place - first])
        chosen.append(candidate)
        group = int(groups[candidate])
        of_group[group] += 1
        open_[place] = False
        if of_group[group] >= MOST_OF_A_GROUP:
            open_[first:] &= groups[kept] != group
    return chosen


def _by_group(groups: Ints) -> Iterator[Ints]:
    for group in np.unique(groups):
        yield np.flatnonzero(groups == group).astype(np.int64)
