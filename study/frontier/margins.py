"""How far runs ended from divergence: the margin ln(s_T / l0)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

MARGIN_BOUND = 10.0
"""Largest absolute margin: a factor of 22,000."""
SMALLEST_VIOLATION = 1e-9
"""Margin of a run that diverged by less than floating point shows: Optuna counts 0 as feasible."""


NON_FINITE = ("non_finite_loss", "non_finite_gradient")
"""Reasons of divergence that are as far above the frontier as can be, whatever the losses before."""


def bounded_margins(
    diverged: ArrayLike, finite: ArrayLike, final_loss: ArrayLike, initial_loss: ArrayLike
) -> NDArray[np.float64]:
    """The margins of runs, finite, and positive exactly where a run diverged; any shape.

    Args:
        diverged: whether it did.
        finite: whether that was for another reason than those of ``NON_FINITE``.
        final_loss: s_T, the smoothed loss at the end; NaN where there was none.
        initial_loss: l0, of the untrained model.
    """
    final, initial = np.asarray(final_loss, np.float64), np.asarray(initial_loss, np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        margin = np.log(final / initial)
    # Losses below zero have no ratio: all that such a run tells is its side.
    margin = np.where((final <= 0) | (initial <= 0), np.where(diverged, np.inf, -np.inf), margin)
    margin = np.where(finite, np.nan_to_num(margin, nan=np.inf), np.inf).clip(-MARGIN_BOUND, MARGIN_BOUND)
    return np.where(diverged, np.maximum(margin, SMALLEST_VIOLATION), np.minimum(margin, 0.0))
