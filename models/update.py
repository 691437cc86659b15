"""What follows the gradients in a training step: clipping, the guard against what is not finite, the optimizer."""

import torch
from torch import Tensor

from gradstudy.models.clipping import GradientClipper
from gradstudy.models.optimizers import Optimizer


def update(
    parameters: Tensor,
    gradients: Tensor,
    loss: Tensor,
    learning_rate: Tensor,
    *,
    clipper: GradientClipper,
    optimizer: Optimizer,
    guard: bool,
) -> Tensor:
    """Clip gradients [n, P] and update parameters [n, P], in place.

    Args:
        parameters: before the step.
        gradients: of these parameters.
        loss: before the step, [n].
        learning_rate: of each trial, [n].
        clipper: of these trials.
        optimizer: of these trials.
        guard: whether a step with a non-finite loss or gradient is skipped.

    Returns:
        Loss, norm before clipping, norm after it and whether the gradient was clipped as rows, [4, n].
    """
    finite = torch.isfinite(loss)
    clip = clipper(gradients, parameters, loss, ~finite if guard else None)
    applied_norm, taken = clip.applied_norm, ~clip.skipped
    if guard:
        finite &= torch.isfinite(clip.grad_norm)
        taken &= finite
        gradients.masked_fill_(~finite.unsqueeze(1), 0)
        applied_norm = applied_norm.masked_fill(~finite, 0)
    optimizer.step(parameters, gradients, learning_rate, taken.to(loss.dtype))
    return torch.stack([loss, clip.grad_norm, applied_norm, clip.clipped.to(loss.dtype)])
