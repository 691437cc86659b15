"""Clipping of the gradient of a recurrent state at one time step, for compiled kernels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstudy.models.clipping.scale_rules import NORM_EPSILON
from gradstudy.models.compiling import compiled

Array = NDArray[Any]


@compiled
def clip_state(gradient: Array, absent: Array, limit: float, by_value: bool, t: int, k: int) -> bool:
    """Clip one trial's gradient of a state in place; returns whether that changed it.

    Args:
        gradient: of the state after one step, [B, H].
        absent: which sequences have not begun, so that their state has no gradient, [T, K, B]; of no elements where
            all have.
        limit: of the norm of the gradient, or of the value of its entries.
        by_value: whether it is that of the value.
        t: the time step.
        k: the trial.
    """
    if absent.size > 0:
        for b in range(gradient.shape[0]):
            if absent[t, k, b]:
                gradient[b] = 0
    if by_value:
        largest = gradient.dtype.type(0)
        for b in range(gradient.shape[0]):
            row = gradient[b]
            for j in range(row.shape[0]):
                size = abs(row[j])
                largest = max(largest, size)
        if largest <= limit:
            return False
        for b in range(gradient.shape[0]):
            row = gradient[b]
            for j in range(row.shape[0]):
                row[j] = limit if row[j] > limit else (-limit if row[j] < -limit else row[j])  # noqa: FURB136 (NaN stays)
        return True
    squares = gradient.dtype.type(0)
    for b in range(gradient.shape[0]):
        row = gradient[b]
        for j in range(row.shape[0]):
            squares += row[j] * row[j]
    scale = limit / (np.sqrt(squares) + gradient.dtype.type(NORM_EPSILON))
    if scale >= 1:
        return False
    for b in range(gradient.shape[0]):
        row = gradient[b]
        for j in range(row.shape[0]):
            row[j] *= scale
    return True
