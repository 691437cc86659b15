"""The pointwise passes of a plain recurrent layer, compiled for the CPU; shapes and terms as in ``compiled_kernels``.

There is no gate that padding could close, so the kernels pass over sequences that have not begun.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstudy.models.compiled_math import tanh
from gradstudy.models.compiled_state_clipping import add_to, clip_state
from gradstudy.models.compiling import compiled

Array = NDArray[Any]


@compiled
def rnn_forward(rows: Array, index: Array, before: Array, absent: Array, h: Array, relu: bool, t: int) -> None:
    """One step of a plain recurrent layer.

    Args:
        rows: projected inputs with all biases, [N, H].
        index: which row enters which sequence, [T, K, B].
        before: the recurrent product, [K, B, H].
        absent: which sequences have not begun and stay zero, [T, K, B]; of no elements where all have.
        h: receives the new hidden state in entry t + 1, [K, T + 1, B, H].
        relu: whether the nonlinearity is relu instead of tanh.
        t: the time step.
    """
    zero = h.dtype.type(0)
    for k in range(h.shape[0]):
        for b in range(h.shape[2]):
            x, product, h_after = rows[index[t, k, b]], before[k, b], h[k, t + 1, b]
            if absent.size > 0 and absent[t, k, b]:
                h_after[:] = zero
            elif relu:
                for j in range(h_after.shape[0]):
                    total = x[j] + product[j]
                    h_after[j] = max(total, zero)  # in this order NaN stays NaN
            else:
                for j in range(h_after.shape[0]):
                    h_after[j] = tanh(x[j] + product[j])


@compiled
def rnn_backward(
    grad_outputs: Array,
    dh: Array,
    grads: Array,
    h: Array,
    index: Array,
    grad_rows: Array,
    absent: Array,
    limit: Array,
    by_value: Array,
    clipped: Array,
    relu: bool,
    t: int,
) -> None:
    """The gradient of one step of a plain recurrent layer.

    Args:
        grad_outputs: of the loss with respect to the hidden states where they leave the layer, [K, T, B, H]; of no
            elements where there is none.
        dh: what comes from the step after, [K, B, H]; overwritten.
        grads: receives the gradient before the nonlinearity, [K, T, B, H].
        h: the hidden states, [K, T + 1, B, H].
        index: which row of the projected inputs entered which sequence, [T, K, B].
        grad_rows: what their gradient is added to, [N, H]; of no elements where it is not wanted.
        absent: which sequences have not begun, [T, K, B]; of no elements where all have.
        limit: as in ``compiled_kernels.lstm_backward``, as ``by_value`` and ``clipped``.
        by_value: whether the limit is that of entries, [K].
        clipped: set to True where a gradient was clipped, [K].
        relu: whether the nonlinearity is relu instead of tanh.
        t: the time step.
    """
    zero, one = dh.dtype.type(0), dh.dtype.type(1)
    for k in range(dh.shape[0]):
        if grad_outputs.size > 0:
            add_to(dh[k], grad_outputs[k, t])
        if limit.size > 0 and limit[k] < np.inf:
            clipped[k] |= clip_state(dh[k], absent, limit[k], by_value[k], t, k)
        for b in range(dh.shape[1]):
            d_h, grad, h_after = dh[k, b], grads[k, t, b], h[k, t + 1, b]
            if absent.size > 0 and absent[t, k, b]:
                grad[:] = zero
                continue
            if relu:
                for j in range(grad.shape[0]):
                    grad[j] = zero if h_after[j] <= zero else d_h[j]
            else:
                for j in range(grad.shape[0]):
                    grad[j] = d_h[j] * (one - h_after[j] * h_after[j])
            if grad_rows.size > 0:
                row = grad_rows[index[t, k, b]]
                for j in range(grad.shape[0]):
                    row[j] += grad[j]
