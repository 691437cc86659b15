"""The layers around the recurrent ones, over a trial axis: affine map, losses.

Shapes: K trials, T time steps, B sequences a batch, R = T * B rows, V symbols, F real values. Results are
written to buffers of a workspace.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

from gradstudy.models.kernels import bind
from gradstudy.models.loss_names import LossKind
from gradstudy.models.workspace import Workspace


class _Affine(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, workspace: Workspace, name: str) -> Tensor:
        out = workspace.empty(f"{name}.affine", x.shape[0], x.shape[1], weight.shape[2])
        _product(x, weight, out, None if bias is None else bias.unsqueeze(1))
        ctx.saved = (x, weight)
        ctx.workspace = workspace
        ctx.name = name
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, weight = ctx.saved
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = _product(grad, weight.transpose(1, 2), ctx.workspace.empty(f"{ctx.name}.grad_x", *x.shape))
        grad_bias = grad.sum(1) if ctx.needs_input_grad[2] else None
        return grad_x, _product(x.transpose(1, 2), grad), grad_bias, None, None


def _product(left: Tensor, right: Tensor, out: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """The products of matrices [K, N, I] and [K, I, M], [K, N, M], and a bias [K, 1, M]; roundings do not depend on K.

    For one matrix times a vector BLAS has another routine: a trial alone is batched with a copy of itself.
    """
    alone = len(left) == 1 and 1 in (*left.shape[1:], right.shape[2])
    if alone:
        left, right = left.expand(2, -1, -1), right.expand(2, -1, -1)
    into = None if alone else out
    made = torch.bmm(left, right, out=into) if bias is None else torch.baddbmm(bias, left, right, out=into)
    if not alone:
        return made
    return made[:1] if out is None else out.copy_(made[:1])


def affine(x: Tensor, weight: Tensor, bias: Tensor | None, workspace: Workspace, name: str) -> Tensor:
    """Map rows [K, R, I] with weights [K, I, O] and biases [K, O], if any, to [K, R, O]."""
    out: Tensor = _Affine.apply(x, weight, bias, workspace, name)  # type: ignore[no-untyped-call]
    return out


class _CrossEntropy(Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, targets: Tensor, weights: Tensor, workspace: Workspace, smoothing: float
    ) -> Tensor:
        log_sum = torch.empty_like(weights)
        loss = logits.new_empty(len(logits))
        largest = logits.amax(-1)
        bind("cross_entropy_forward", workspace, logits, largest, targets, weights, log_sum, loss)()
        if smoothing > 0:
            from_even = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1) - logits.mean(-1)
            loss += smoothing * torch.where(weights > 0, weights * from_even, 0).sum(1)
        ctx.smoothing = smoothing
        ctx.kept = (logits, targets, weights, log_sum)
        ctx.workspace = workspace
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        bind("cross_entropy_backward", ctx.workspace, *ctx.kept, grad.contiguous())()
        logits, targets, weights, _ = ctx.kept
        if ctx.smoothing > 0:
            spread = (ctx.smoothing * grad.unsqueeze(1) * weights).unsqueeze(-1)
            logits.sub_(spread / logits.shape[-1]).scatter_add_(-1, targets.unsqueeze(-1), spread)
        return logits, None, None, None, None


def cross_entropy(
    logits: Tensor, targets: Tensor, mask: Tensor, workspace: Workspace, smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy over the tokens of each trial, in nats.

    Args:
        logits: [K, R, V], contiguous; the backward pass writes their gradient over them.
        targets: symbol numbers, [K, R].
        mask: True where a target counts, [K, R]; each trial has at least one.
        workspace: for what the backward pass needs.
        smoothing: the share of each target that is spread evenly over all V symbols.

    Returns:
        The loss of each trial, [K], the same as ``torch.nn.functional.cross_entropy`` over its counted rows, with
        ``smoothing`` as its ``label_smoothing``.
    """
    weights = mask.to(logits.dtype)
    weights /= weights.sum(1, keepdim=True)
    loss: Tensor = _CrossEntropy.apply(logits, targets, weights, workspace, smoothing)  # type: ignore[no-untyped-call]
    return loss


_ERRORS: dict[LossKind, Callable[..., Tensor]] = {
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": functional.huber_loss,
}


def value_loss(loss: LossKind, predicted: Tensor, targets: Tensor) -> Tensor:
    """Mean error over all values of each trial, [K]: squared, absolute, or Huber's (1964) with delta 1.

    Args:
        loss: mse, mae or huber.
        predicted: [K, R, F].
        targets: [K, R, F].
    """
    return _ERRORS[loss](predicted, targets, reduction="none").flatten(1).mean(1)
