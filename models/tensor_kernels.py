"""The pointwise passes of a training step as torch operations, for any device and floating type.

The arguments are those of ``compiled_kernels`` and ``compiled_rnn``, as tensors.
"""

import torch
from torch import Tensor

from gradstudy.models.clipping.scale_rules import norm_coefficient


def _logistic_slope(s: Tensor) -> Tensor:
    """Derivative of the logistic function where its value is ``s``."""
    return s * (1 - s)


def _clip_states(gradient: Tensor, absent: Tensor, limit: Tensor, by_value: Tensor, clipped: Tensor, t: int) -> None:
    """Clip the gradients [K, B, H] of the trials that have a limit; see ``compiled_state_clipping``."""
    if limit.numel() == 0:
        return
    limited = limit < torch.inf
    if absent.numel() > 0:
        gradient.masked_fill_((absent[t] & limited.unsqueeze(1)).unsqueeze(-1), 0)
    norm = torch.linalg.vector_norm(gradient, dim=(1, 2), dtype=limit.dtype)
    scale = torch.where(by_value, 1, norm_coefficient(norm, limit)).where(limited, 1)
    most = torch.where(by_value, limit, torch.inf).view(-1, 1, 1)
    clipped |= (gradient.abs() > most).flatten(1).any(1) | (scale != 1)
    gradient.copy_(torch.clamp(gradient * scale.view(-1, 1, 1), -most, most))


def lstm_forward(
    rows: Tensor, index: Tensor, before: Tensor, gates: Tensor, c: Tensor, tanh_c: Tensor, h: Tensor, t: int
) -> None:
    """See ``compiled_kernels.lstm_forward``."""
    i, f, g, o = (before + rows[index[t]]).chunk(4, -1)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    c_after = f * c[:, t] + i * g
    squashed = torch.tanh(c_after)
    gates[:, t] = torch.cat([i, f, g, o], -1)
    c[:, t + 1], tanh_c[:, t], h[:, t + 1] = c_after, squashed, o * squashed


def lstm_backward(
    grad_outputs: Tensor,
    dh: Tensor,
    dc: Tensor,
    gates: Tensor,
    c: Tensor,
    tanh_c: Tensor,
    index: Tensor,
    grad_rows: Tensor,
    absent: Tensor,
    limit: Tensor,
    by_value: Tensor,
    clipped: Tensor,
    t: int,
) -> None:
    """See ``compiled_kernels.lstm_backward``."""
    i, f, g, o = gates[:, t].chunk(4, -1)
    squashed = tanh_c[:, t]
    if grad_outputs.numel() > 0:
        dh += grad_outputs[:, t]
    _clip_states(dh, absent, limit, by_value, clipped, t)
    dc += dh * o * (1 - squashed * squashed)
    _clip_states(dc, absent, limit, by_value, clipped, t)
    grad = torch.cat(
        [
            dc * g * _logistic_slope(i),
            dc * c[:, t] * _logistic_slope(f),
            dc * i * (1 - g * g),
            dh * squashed * _logistic_slope(o),
        ],
        -1,
    )
    dc *= f
    gates[:, t] = grad
    if grad_rows.numel() > 0:
        grad_rows.index_add_(0, index[t].flatten(), grad.flatten(0, 1))


def gru_forward(rows: Tensor, index: Tensor, before: Tensor, bias: Tensor, gates: Tensor, h: Tensor, t: int) -> None:
    """See ``compiled_kernels.gru_forward``."""
    x_r, x_z, x_n = rows[index[t]].chunk(3, -1)
    before_r, before_z, before_n = before.chunk(3, -1)
    recurrent = before_n + bias.unsqueeze(1)
    r, z = torch.sigmoid(x_r + before_r), torch.sigmoid(x_z + before_z)
    n = torch.tanh(x_n + r * recurrent)
    gates[:, t] = torch.cat([recurrent, r, z, n], -1)
    h[:, t + 1] = torch.lerp(n, h[:, t], z)


def gru_backward(
    grad_outputs: Tensor,
    dh: Tensor,
    direct: Tensor,
    gates: Tensor,
    h: Tensor,
    index: Tensor,
    grad_rows: Tensor,
    absent: Tensor,
    limit: Tensor,
    by_value: Tensor,
    clipped: Tensor,
    t: int,
) -> None:
    """See ``compiled_kernels.gru_backward``."""
    recurrent, r, z, n = gates[:, t].chunk(4, -1)
    if grad_outputs.numel() > 0:
        dh += grad_outputs[:, t]
    dh += direct
    _clip_states(dh, absent, limit, by_value, clipped, t)
    torch.mul(dh, z, out=direct)
    grad_n = (dh - direct) * (1 - n * n)
    grad_z = dh * (h[:, t] - n) * _logistic_slope(z)
    gates[:, t] = torch.cat([grad_n * r, grad_n * recurrent * _logistic_slope(r), grad_z, grad_n], -1)
    if grad_rows.numel() > 0:
        grad_rows.index_add_(0, index[t].flatten(), gates[:, t, :, h.shape[3] :].flatten(0, 1))


def rnn_forward(rows: Tensor, index: Tensor, before: Tensor, absent: Tensor, h: Tensor, relu: bool, t: int) -> None:
    """See ``compiled_rnn.rnn_forward``."""
    total = before + rows[index[t]]
    h_after = torch.relu(total) if relu else torch.tanh(total)
    h[:, t + 1] = h_after if absent.numel() == 0 else h_after.masked_fill(absent[t].unsqueeze(-1), 0)


def rnn_backward(
    grad_outputs: Tensor,
    dh: Tensor,
    grads: Tensor,
    h: Tensor,
    index: Tensor,
    grad_rows: Tensor,
    absent: Tensor,
    limit: Tensor,
    by_value: Tensor,
    clipped: Tensor,
    relu: bool,
    t: int,
) -> None:
    """See ``compiled_rnn.rnn_backward``."""
    h_after = h[:, t + 1]
    if grad_outputs.numel() > 0:
        dh += grad_outputs[:, t]
    _clip_states(dh, absent, limit, by_value, clipped, t)
    grad = dh.masked_fill(h_after <= 0, 0) if relu else dh * (1 - h_after * h_after)
    if absent.numel() > 0:
        grad = grad.masked_fill(absent[t].unsqueeze(-1), 0)
    grads[:, t] = grad
    if grad_rows.numel() > 0:
        grad_rows.index_add_(0, index[t].flatten(), grad.flatten(0, 1))


def cross_entropy_forward(
    logits: Tensor, largest: Tensor, targets: Tensor, weights: Tensor, log_sum: Tensor, loss: Tensor
) -> None:
    """See ``compiled_kernels.cross_entropy_forward``."""
    log_sum.copy_((logits - largest.unsqueeze(-1)).exp_().sum(-1).log_().add_(largest))
    chosen = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    torch.sum(torch.where(weights > 0, weights * (log_sum - chosen), 0), 1, out=loss)


def cross_entropy_backward(logits: Tensor, targets: Tensor, weights: Tensor, log_sum: Tensor, grad: Tensor) -> None:
    """See ``compiled_kernels.cross_entropy_backward``."""
    scale = (weights * grad.unsqueeze(-1)).unsqueeze(-1)
    logits.sub_(log_sum.unsqueeze(-1)).exp_().mul_(scale)
    logits.scatter_add_(-1, targets.unsqueeze(-1), -scale)
    logits.masked_fill_(weights.unsqueeze(-1) == 0, 0)
