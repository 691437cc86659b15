"""Clipping of the gradient of a recurrent state at one time step, for compiled kernels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstudy.models.clipping.scale_rules import NORM_EPSILON
from gradstudy.models.compiling import compiled

Array = NDArray[Any]


@compiled
def add_to(total: Array, part: Array) -> None:
    """Add one contiguous array to another of its shape, in place."""
    totals, parts = total.reshape(-1), part.reshape(-1)
    for j in range(totals.shape[0]):
        totals[j] += parts[j]


@compiled
def clip_state(gradient: Array, absent: Array, limit: float, by_value: bool, t: int, k: int) -> bool:
    """Clip one trial's gradient of a state in place; returns whether that changed it.

    Args:
        gradient: of the state after one step, contiguous, [B, H].
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
    entries = gradient.reshape(-1)  # one long loop: rows may be short
    if by_value:
        zero, one = gradient.dtype.type(0), gradient.dtype.type(1)
        beyond = zero
        for j in range(entries.shape[0]):
            entry = entries[j]
            entries[j] = limit if entry > limit else (-limit if entry < -limit else entry)  # noqa: FURB136 (NaN stays)
            beyond += one if abs(entry) > limit else zero
        return bool(beyond > 0)
    squares = gradient.dtype.type(0)
    for j in range(entries.shape[0]):
        squares += entries[j] * entries[j]
    scale = limit / (np.sqrt(squares) + gradient.dtype.type(NORM_EPSILON))
    if scale >= 1:
        return False
    for j in range(entries.shape[0]):
        entries[j] *= scale
    return True


@compiled
def clip_lstm_states(
    grad_outputs: Array,
    dh: Array,
    dc: Array,
    gates: Array,
    tanh_c: Array,
    absent: Array,
    limit: Array,
    by_value: Array,
    clipped: Array,
    t: int,
) -> None:
    """Sum up and clip the gradients of hidden and cell state after one step, of the trials that have a limit.

    The arguments are those of ``compiled_kernels.lstm_backward``; ``dh`` and ``dc`` become the clipped sums.
    """
    hidden = dh.shape[2]
    one = dh.dtype.type(1)
    for k in range(dh.shape[0]):
        if limit[k] < np.inf:
            if grad_outputs.size > 0:
                add_to(dh[k], grad_outputs[k, t])
            clipped[k] |= clip_state(dh[k], absent, limit[k], by_value[k], t, k)
            for b in range(dh.shape[1]):
                d_h, d_c, o, squashed = dh[k, b], dc[k, b], gates[k, t, b, 3 * hidden :], tanh_c[k, t, b]
                for j in range(hidden):
                    d_c[j] += d_h[j] * o[j] * (one - squashed[j] * squashed[j])
            clipped[k] |= clip_state(dc[k], absent, limit[k], by_value[k], t, k)
