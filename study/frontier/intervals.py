"""The intervals of the frontiers of a study, for its report."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from gradstudy.study.frontier.fit import Fit, information, inverse, pull
from gradstudy.study.frontier.likelihood import LEVEL, Floats, Seen
from gradstudy.study.frontier.places import Runs
from gradstudy.study.frontier.posterior import MISFIT_VARIANCE, FrontierModel, blocks

REACH = 5.0
"""Standard deviations on each side of a crossing among which its posterior is computed."""
PLACES = 101
"""Crossings at which it is computed."""
STANDARD_DEVIATIONS = 2 * 1.96
"""That a 95% interval of a normal distribution is wide."""
SMALLEST_WEIGHT = 0.02
"""Fits of a smaller weight do not count."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(5)


def intervals(model: FrontierModel, runs: Runs, margins: Floats, probability: float) -> tuple[Floats, Floats]:
    """Between which decades from the middle each crossing lies with a probability, (low, high), [targets] each.

    What a target's own runs say counts as it is, over its crossing and slope, and what all others say as the normal
    distribution that Laplace's approximation has for them (its cavity). Where the runs of a target show one end of its
    interval only, such as when none of them diverged, the posterior has a wall that no curvature at its mode tells of.

    Args:
        model: of the frontiers, without runs under way.
        runs: that it was made of.
        margins: [n] of these.
        probability: equal on both sides.
    """
    crossings = model.crossing[:, None] + np.linspace(-REACH, REACH, PLACES) * model.sd[:, None]
    chance = np.zeros_like(crossings)
    for fit, weight in zip(model.fits, model.weights, strict=True):
        if weight >= SMALLEST_WEIGHT:
            chance += weight * np.stack(list(_posteriors(fit, runs, margins, crossings)))
    tail, summed = (1 - probability) / 2, chance.cumsum(1)
    ends = [
        np.interp([tail, 1 - tail], total / total[-1], places) for total, places in zip(summed, crossings, strict=True)
    ]
    # Skewed or not, the interval holds the crossing that is reported.
    away = np.maximum([-1.0, 1.0] * (np.array(ends) - model.crossing[:, None]), 0.0)
    away = np.hypot(away, ndtri(1 - tail) * np.sqrt(MISFIT_VARIANCE))
    return model.crossing - away[:, 0], model.crossing + away[:, 1]


def _posteriors(fit: Fit, runs: Runs, margins: Floats, crossings: Floats) -> Iterator[Floats]:
    """The posterior of each target's crossing, at [targets, places] of them, by one fit."""
    targets = np.arange(len(crossings))
    _, score, each = fit.told
    whole = inverse(blocks(inverse(fit.precision), targets))
    others = inverse(whole - blocks(information(runs, each, len(targets)), targets))
    pulled = np.stack(pull(runs, score, len(targets)), 1)
    middle = np.stack([fit.height, fit.slope], 1) - (others @ pulled[..., None])[..., 0]
    for target, mine in enumerate(_of_targets(runs, len(targets))):
        (height, slope), ((height_variance, both), (_, slope_variance)) = middle[target], others[target]
        slopes = np.maximum(slope + np.sqrt(slope_variance) * _NODES, fit.usual / 4)
        # Of the others' distribution the height given the slope; by the crossing, its density has the slope as factor.
        heights = LEVEL - slopes * crossings[target][:, None]
        expected = height + both / slope_variance * (slopes - slope)
        variance = height_variance - both**2 / slope_variance
        seen, decades = Seen(margins[mine], fit.usual / fit.rise), runs.decades[mine]
        # One slope of each crossing after the other: all at once are gigabytes where a target has many runs.
        own = np.stack([seen.likelihood(heights[:, node], slopes[node] * decades) for node in range(len(_NODES))], 1)
        density = own - 0.5 * (heights - expected) ** 2 / variance + np.log(slopes * _WEIGHTS)
        chance = np.exp(density - density.max()).sum(1)
        yield chance / chance.sum()


def _of_targets(runs: Runs, targets: int) -> list[NDArray[np.int64]]:
    """The places of each target's runs."""
    order = np.argsort(runs.target, kind="stable")
    return np.split(order, np.cumsum(np.bincount(runs.target, minlength=targets))[:-1])
