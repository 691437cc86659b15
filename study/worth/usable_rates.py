"""The learning rates at which a setting is about as good as at its best one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradstudy.study.frontier.likelihood import ACCEPTED_RISK, Floats
from gradstudy.study.frontier.places import Ints
from gradstudy.study.worth.observed import Settings
from gradstudy.study.worth.worth import Worth, WorthModel

TOLERANCE = 0.02
"""Of the untrained loss."""
STEPS_PER_DECADE = 20
DRAWS = 200
PROBABILITY = 0.95


@dataclass(frozen=True)
class UsableRates:
    """A range of learning rates, in decades.

    Attributes:
        low: its lower end.
        high: its upper end.
        width: how many decades are usable, the median of what is probable; NaN where one rate was tried. The range
            that is expected may be wider: where little is known it is smooth.
        width_low: lower end of the 95% interval of it.
        width_high: upper end.
        is_open_below: whether the lowest one that was tried is among them, so that lower ones may be as good.
        is_open_above: the same of the highest one.
    """

    low: float
    high: float
    width: float
    width_low: float
    width_high: float
    is_open_below: bool = False
    is_open_above: bool = False


def usable_rates(model: WorthModel, setting: Settings, tried: tuple[float, float]) -> UsableRates:
    """Which learning rates are at most ``TOLERANCE`` worse than the best one, at an acceptable risk.

    Args:
        model: of what settings are worth.
        setting: one, whose learning rate does not count.
        tried: the learning rates between which the range is looked for, in decades.
    """
    low, high = tried
    if low == high:
        return UsableRates(low, high, np.nan, np.nan, np.nan)
    grid, worth, drawn = drawn_losses(model, setting, tried)
    lost = worth.chances.mean
    good = _about_as_good(worth.expected[None, :], lost)[0]
    widths = _about_as_good(drawn, lost).sum(1) * (grid[1] - grid[0])
    tail = (1 - PROBABILITY) / 2
    width_low, width, width_high = map(float, np.quantile(widths, [tail, 0.5, 1 - tail]))
    inside = _around(good, int(np.argmin(np.where(good, worth.expected, np.inf))))
    return UsableRates(
        float(grid[inside].min()), float(grid[inside].max()), width, width_low, width_high,
        is_open_below=bool(inside[0] == 0), is_open_above=bool(inside[-1] == len(grid) - 1),
    )  # fmt: skip


def drawn_losses(model: WorthModel, setting: Settings, tried: tuple[float, float]) -> tuple[Floats, Worth, Floats]:
    """What is probable of the expected losses of a setting over the learning rate.

    Args:
        model: of what settings are worth.
        setting: one, whose learning rate does not count.
        tried: the lowest and a higher learning rate, in decades.

    Returns:
        Learning rates [n] in decades, what they are worth, and draws [DRAWS, n] of their expected losses.
    """
    low, high = tried
    grid = np.linspace(low, high, max(2, round((high - low) * STEPS_PER_DECADE) + 1))
    settings = setting.take(np.zeros(len(grid), np.int64)).at(grid)
    worth = model.of(settings)
    kept = 1 - worth.chances.mean
    predicted = model.losses.predict(settings, worth.distances)
    covariance = model.losses.covariance(settings, worth.distances, predicted) * np.outer(kept, kept)
    drawn = np.random.default_rng(0).multivariate_normal(worth.expected, covariance, DRAWS, check_valid="ignore")
    return grid, worth, drawn


def _about_as_good(expected: Floats, lost: Floats) -> NDArray[np.bool_]:
    """Which of the expected losses [draws, n] are near the best one of their draw."""
    safe = lost <= max(ACCEPTED_RISK, float(lost.min()))
    best = np.where(safe, expected, np.inf).min(1, keepdims=True)
    return np.asarray(safe & (expected <= best + TOLERANCE))


def _around(good: NDArray[np.bool_], place: int) -> Ints:
    """The places in a row that are good, around one of them."""
    bad = np.flatnonzero(~good)
    left = bad[bad < place].max(initial=-1) + 1
    right = bad[bad > place].min(initial=len(good))
    return np.arange(left, right, dtype=np.int64)
