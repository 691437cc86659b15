"""The best learning rate of a cell, strategy, threshold and choice of factors, and how well it is known."""

import numpy as np

from gradstudy.study.worth.observed import Settings
from gradstudy.study.worth.usable_rates import drawn_losses
from gradstudy.study.worth.worth import WorthModel


def best_rate(model: WorthModel, setting: Settings, tried: tuple[float, float]) -> tuple[float, float]:
    """The learning rate with the lowest expected loss, in decades, and its standard deviation.

    Args:
        model: of what settings are worth.
        setting: one, whose learning rate does not count.
        tried: the learning rates between which it is looked for, in decades.
    """
    grid, _, drawn = drawn_losses(model, setting, tried)
    best = grid[np.argmin(drawn, 1)]
    return float(best.mean()), float(best.std())
