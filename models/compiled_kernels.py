"""The pointwise passes of a training step, compiled for the CPU by numba.

One pass over memory does what a dozen tensor operations would do. The inner loops run over one row and touch few
arrays each, so that the compiler turns them into vector instructions; which ones depends on the row's length only, so
a trial's numbers do not depend on its neighbours.

Shapes: K trials, T time steps, B sequences a batch, H hidden units, N rows of projected inputs, R = T * B rows of
logits, V symbols. All arrays are contiguous and, but for indices, of one floating type; ``t`` is the time step. Gates
are in torch's order.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstudy.models.compiled_math import exp, sigmoid, tanh
from gradstudy.models.compiled_state_clipping import add_to, clip_lstm_states, clip_state
from gradstudy.models.compiling import compiled

Array = NDArray[Any]


@compiled
def lstm_forward(
    rows: Array, index: Array, before: Array, gates: Array, c: Array, tanh_c: Array, h: Array, t: int
) -> None:
    """One LSTM step.

    Args:
        rows: projected inputs with all biases, [N, 4H].
        index: which row enters which sequence, [T, K, B].
        before: the recurrent product, [K, B, 4H].
        gates: receives the activations, [K, T, B, 4H].
        c: the cell states, [K, T + 1, B, H]; step t reads entry t and writes entry t + 1.
        tanh_c: receives tanh of the new cell state, [K, T, B, H].
        h: receives the new hidden state in entry t + 1, [K, T + 1, B, H].
        t: the time step.
    """
    hidden = h.shape[3]
    for k in range(h.shape[0]):
        for b in range(h.shape[2]):
            x, product, gate = rows[index[t, k, b]], before[k, b], gates[k, t, b]
            c_before, c_after, squashed, h_after = c[k, t, b], c[k, t + 1, b], tanh_c[k, t, b], h[k, t + 1, b]
            for j in range(2 * hidden):
                gate[j] = sigmoid(x[j] + product[j])
            x_g, product_g = x[2 * hidden : 3 * hidden], product[2 * hidden : 3 * hidden]
            x_o, product_o = x[3 * hidden :], product[3 * hidden :]
            i, f, g, o = gate[:hidden], gate[hidden : 2 * hidden], gate[2 * hidden : 3 * hidden], gate[3 * hidden :]
            for j in range(hidden):
                g[j] = tanh(x_g[j] + product_g[j])
            for j in range(hidden):
                o[j] = sigmoid(x_o[j] + product_o[j])
            for j in range(hidden):
                c_after[j] = f[j] * c_before[j] + i[j] * g[j]
            for j in range(hidden):
                squashed[j] = tanh(c_after[j])
            for j in range(hidden):
                h_after[j] = o[j] * squashed[j]


@compiled
def lstm_backward(
    grad_outputs: Array,
    dh: Array,
    dc: Array,
    gates: Array,
    c: Array,
    tanh_c: Array,
    index: Array,
    grad_rows: Array,
    absent: Array,
    limit: Array,
    by_value: Array,
    clipped: Array,
    t: int,
) -> None:
    """The gradient of one LSTM step.

    Args:
        grad_outputs: of the loss with respect to the hidden states where they leave the layer, [K, T, B, H]; of no
            elements where there is none.
        dh: what comes from the step after, [K, B, H]; overwritten.
        dc: gradient of the cell state; that of the state before replaces it, [K, B, H].
        gates: the activations; the gradient before them replaces them, [K, T, B, 4H].
        c: the cell states, [K, T + 1, B, H].
        tanh_c: of the new cell states, [K, T, B, H].
        index: which row of the projected inputs entered which sequence, [T, K, B].
        grad_rows: what their gradient is added to, [N, 4H]; of no elements where it is not wanted.
        absent: which sequences have not begun, [T, K, B]; of no elements where all have, or nobody asks.
        limit: of the norm or the entries of each trial's gradient of a state, which is clipped where this is finite,
            [K]; of no elements where no trial has one.
        by_value: whether it limits the entries, [K].
        clipped: set to True where a gradient was clipped, [K].
        t: the time step.
    """
    hidden = dh.shape[2]
    one = dh.dtype.type(1)  # of the arrays' type: an integer would make float32 arithmetic float64
    if limit.size > 0:
        clip_lstm_states(grad_outputs, dh, dc, gates, tanh_c, absent, limit, by_value, clipped, t)
    for k in range(dh.shape[0]):
        summed = limit.size > 0 and limit[k] < np.inf
        for b in range(dh.shape[1]):
            d_h, d_c, gate, squashed, c_before = dh[k, b], dc[k, b], gates[k, t, b], tanh_c[k, t, b], c[k, t, b]
            i, f, g, o = gate[:hidden], gate[hidden : 2 * hidden], gate[2 * hidden : 3 * hidden], gate[3 * hidden :]
            if grad_outputs.size > 0 and not summed:
                leaving = grad_outputs[k, t, b]
                for j in range(hidden):
                    d_h[j] += leaving[j]
            if not summed:
                for j in range(hidden):
                    d_c[j] += d_h[j] * o[j] * (one - squashed[j] * squashed[j])
            for j in range(hidden):
                o[j] = d_h[j] * squashed[j] * o[j] * (one - o[j])
            for j in range(hidden):
                d_h[j] = d_c[j] * f[j]
            for j in range(hidden):
                f[j] = d_c[j] * c_before[j] * f[j] * (one - f[j])
            for j in range(hidden):
                grad_i = d_c[j] * g[j] * i[j] * (one - i[j])
                g[j] = d_c[j] * i[j] * (one - g[j] * g[j])
                i[j] = grad_i
            for j in range(hidden):
                d_c[j] = d_h[j]
            if grad_rows.size > 0:
                row = grad_rows[index[t, k, b]]
                for j in range(4 * hidden):
                    row[j] += gate[j]


@compiled
def gru_forward(rows: Array, index: Array, before: Array, bias: Array, gates: Array, h: Array, t: int) -> None:
    """One GRU step.

    Args:
        rows: projected inputs with all biases but the candidate's recurrent one, [N, 3H].
        index: which row enters which sequence, [T, K, B].
        before: the recurrent product, [K, B, 3H].
        bias: the candidate's recurrent bias, [K, H].
        gates: receives the candidate's recurrent part with its bias, then the activations of reset gate, update gate
            and candidate, [K, T, B, 4H].
        h: the hidden states, [K, T + 1, B, H]; step t reads entry t and writes entry t + 1.
        t: the time step.
    """
    hidden = h.shape[3]
    for k in range(h.shape[0]):
        for b in range(h.shape[2]):
            x, product, gate = rows[index[t, k, b]], before[k, b], gates[k, t, b]
            outer, h_before, h_after = bias[k], h[k, t, b], h[k, t + 1, b]
            x_n, product_n = x[2 * hidden :], product[2 * hidden :]
            r_z, recurrent, r = gate[hidden : 3 * hidden], gate[:hidden], gate[hidden : 2 * hidden]
            z, n = gate[2 * hidden : 3 * hidden], gate[3 * hidden :]
            for j in range(2 * hidden):
                r_z[j] = sigmoid(x[j] + product[j])
            for j in range(hidden):
                recurrent[j] = product_n[j] + outer[j]
            for j in range(hidden):
                n[j] = tanh(x_n[j] + r[j] * recurrent[j])
            for j in range(hidden):
                h_after[j] = n[j] + z[j] * (h_before[j] - n[j])


@compiled
def gru_backward(
    grad_outputs: Array,
    dh: Array,
    direct: Array,
    gates: Array,
    h: Array,
    index: Array,
    grad_rows: Array,
    absent: Array,
    limit: Array,
    by_value: Array,
    clipped: Array,
    t: int,
) -> None:
    """The gradient of one GRU step.

    Args:
        grad_outputs: of the loss with respect to the hidden states where they leave the layer, [K, T, B, H]; of no
            elements where there is none.
        dh: what comes from the step after through the recurrent product, [K, B, H]; overwritten.
        direct: what comes from the step after past the product; that for the step before replaces it, [K, B, H].
        gates: what the forward step kept; the gradients replace them, [K, T, B, 4H]. The recurrent product takes the
            first three blocks (candidate, reset, update), the inputs the last three (reset, update, candidate).
        h: the hidden states, [K, T + 1, B, H].
        index: which row of the projected inputs entered which sequence, [T, K, B].
        grad_rows: what their gradient is added to, [N, 3H]; of no elements where it is not wanted.
        absent: which sequences have not begun, [T, K, B]; of no elements where all have, or nobody asks.
        limit: of the norm or the entries of each trial's gradient of a state, which is clipped where this is finite,
            [K]; of no elements where no trial has one.
        by_value: whether it limits the entries, [K].
        clipped: set to True where a gradient was clipped, [K].
        t: the time step.
    """
    hidden = dh.shape[2]
    one = dh.dtype.type(1)
    for k in range(dh.shape[0]):
        summed = limit.size > 0 and limit[k] < np.inf
        if summed:
            if grad_outputs.size > 0:
                add_to(dh[k], grad_outputs[k, t])
            add_to(dh[k], direct[k])
            clipped[k] |= clip_state(dh[k], absent, limit[k], by_value[k], t, k)
        for b in range(dh.shape[1]):
            d_h, past, gate, h_before = dh[k, b], direct[k, b], gates[k, t, b], h[k, t, b]
            recurrent, r = gate[:hidden], gate[hidden : 2 * hidden]
            z, n, entering = gate[2 * hidden : 3 * hidden], gate[3 * hidden :], gate[hidden:]
            if grad_outputs.size > 0 and not summed:
                leaving = grad_outputs[k, t, b]
                for j in range(hidden):
                    d_h[j] += leaving[j]
            if not summed:
                for j in range(hidden):
                    d_h[j] += past[j]
            for j in range(hidden):
                past[j] = d_h[j] * z[j]
            for j in range(hidden):
                z[j] = d_h[j] * (h_before[j] - n[j]) * z[j] * (one - z[j])
            for j in range(hidden):
                n[j] = (d_h[j] - past[j]) * (one - n[j] * n[j])
            for j in range(hidden):
                grad_recurrent = n[j] * r[j]
                r[j] = n[j] * recurrent[j] * r[j] * (one - r[j])
                recurrent[j] = grad_recurrent
            if grad_rows.size > 0:
                row = grad_rows[index[t, k, b]]
                for j in range(3 * hidden):
                    row[j] += entering[j]


@compiled
def cross_entropy_forward(
    logits: Array, largest: Array, targets: Array, weights: Array, log_sum: Array, loss: Array
) -> None:
    """Weighted cross-entropy of each trial.

    Args:
        logits: [K, R, V].
        largest: the largest logit of each row, [K, R].
        targets: symbol numbers, [K, R].
        weights: of each row in its trial's loss; a row of weight 0 takes no part, [K, R].
        log_sum: receives the logarithm of each row's sum of exponentials, [K, R].
        loss: receives each trial's loss, [K].
    """
    for k in range(logits.shape[0]):
        total = loss.dtype.type(0)
        for r in range(logits.shape[1]):
            if weights[k, r] > 0:
                row, top = logits[k, r], largest[k, r]
                exponentials = loss.dtype.type(0)
                for j in range(row.shape[0]):
                    exponentials += exp(row[j] - top)
                log_sum[k, r] = top + np.log(exponentials)
                total += weights[k, r] * (log_sum[k, r] - row[targets[k, r]])
        loss[k] = total


@compiled
def cross_entropy_backward(logits: Array, targets: Array, weights: Array, log_sum: Array, grad: Array) -> None:
    """Replace the logits [K, R, V] by their gradient; ``grad`` [K] is that of the losses, the rest as before."""
    for k in range(logits.shape[0]):
        for r in range(logits.shape[1]):
            row, scale, normalizer = logits[k, r], weights[k, r] * grad[k], log_sum[k, r]
            if weights[k, r] > 0:
                for j in range(row.shape[0]):
                    row[j] = exp(row[j] - normalizer) * scale
                row[targets[k, r]] -= scale
            else:
                row[:] = 0
