"""Losses of one study on one scale: 1 is an untrained model, and what was learned is counted downwards from there."""

import numpy as np

from gradstudy.study.frontier.likelihood import Floats

SMALLEST_UNIT = 1e-12


def units(losses: Floats, untrained: Floats) -> Floats:
    """How much of a loss [n] counts as one: share = 1 + (loss - untrained) / unit.

    It is the untrained loss, so that shares are shares of it. Losses that may be negative have no such shares: there
    one is the largest gain of all runs, which a constant added to the loss does not change.

    Args:
        losses: [n] of runs on validation data; NaN where one has none.
        untrained: [n] of their untrained models.
    """
    if not len(losses):
        return untrained
    if not (untrained <= 0).any() and not (losses < 0).any():
        return untrained
    gains = untrained - losses
    return np.full(len(losses), max(float(np.nanmax(gains, initial=0.0)), SMALLEST_UNIT))


def shares(losses: Floats, untrained: Floats) -> Floats:
    """The losses [n] on that scale, at most 1; NaN where there is none."""
    return 1 + (np.minimum(losses, untrained) - untrained) / units(losses, untrained)
