"""Rules that look at each parameter's gradient, in K models at once.

Each changes ``gradients``, a list of ``[K, *shape]``, in place and returns which of the K it changed, bool ``[K]``.
``weights`` are the parameters themselves, ``unit_axes`` the axis of each one's units (None for a vector, which is one
unit) and ``threshold`` ``[K]`` one threshold per model. What is computed from norms is computed for all parameters at
once.
"""

# pyright: reportPrivateImportUsage=false
# torch documents its foreach operations, whatever their names begin with.

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradstudy.models.clipping.spectral import soften_singular_values

STANDARD_DEVIATION_EPSILON = 1e-8
"""Added to a standard deviation before dividing by it."""

SMALLEST_STANDARDIZED = 3
"""Entries that a parameter must have to be standardized: of one or two only the signs would be left."""

SMALLEST_WEIGHT_NORM = 1e-3
"""The norm that AGC gives to units whose weights are smaller, so that units that start at zero can grow."""

Rule = Callable[[list[Tensor], list[Tensor], list[int | None], Tensor], Tensor]


def clip_value(gradient: Tensor, threshold: Tensor) -> Tensor:
    """``clamp(g_i, -c, c)``: Mikolov 2012, as in ``clip_grad_value_``; takes whole rows ``[K, P]`` too."""
    rows = gradient.flatten(1)
    changed = (rows.amax(dim=1) > threshold) | (rows.amin(dim=1) < -threshold)
    bound = _across(threshold, gradient)
    torch.minimum(gradient, bound, out=gradient)  # several times as fast as clamp_ with a bound per model
    torch.maximum(gradient, -bound, out=gradient)
    return changed


def clip_param_norm(
    gradients: list[Tensor], weights: list[Tensor], unit_axes: list[int | None], threshold: Tensor
) -> Tensor:
    """``g_p * c / max(‖g_p‖, c)``: Keras ``clipnorm``."""
    norm = torch.stack([vector_norm(gradient.flatten(1), dim=1) for gradient in gradients])
    coefficient = threshold / torch.maximum(norm, threshold)
    torch._foreach_mul_(gradients, _each_across(coefficient, gradients))
    return (coefficient != 1).any(dim=0)


def clip_rms(gradients: list[Tensor], weights: list[Tensor], unit_axes: list[int | None], threshold: Tensor) -> Tensor:
    """``g_p / max(1, RMS(g_p) / c)``: ``optax.clip_by_block_rms``."""
    # The entries are those of the parameter: a sparse gradient has only some of them.
    pairs = zip(gradients, weights, strict=True)
    rms = torch.stack([vector_norm(g.flatten(1), dim=1) / math.sqrt(weight[0].numel()) for g, weight in pairs])
    divisor = (rms / threshold).clamp(min=1.0)
    torch._foreach_div_(gradients, _each_across(divisor, gradients))
    return (divisor != 1).any(dim=0)


def standardize(
    gradients: list[Tensor], weights: list[Tensor], unit_axes: list[int | None], threshold: Tensor
) -> Tensor:
    """``(g_p - mean) / (std + 1e-8)`` of three or more entries, population std: ZNorm, arXiv 2408.01215."""
    taken = [gradient for gradient in gradients if gradient[0].numel() >= SMALLEST_STANDARDIZED]
    if not taken:
        return torch.zeros_like(threshold, dtype=torch.bool)
    mean = torch.stack([gradient.flatten(1).mean(dim=1) for gradient in taken])
    torch._foreach_sub_(taken, _each_across(mean, taken))
    std = torch.stack([vector_norm(rows, dim=1) / math.sqrt(rows.shape[1]) for rows in (g.flatten(1) for g in taken)])
    divisor = std + STANDARD_DEVIATION_EPSILON
    torch._foreach_div_(taken, _each_across(divisor, taken))
    return ((mean != 0) | ((std != 0) & (divisor != 1))).any(dim=0)


def clip_unit_norm(
    gradients: list[Tensor], weights: list[Tensor], unit_axes: list[int | None], threshold: Tensor
) -> Tensor:
    """Units with ``‖g_i‖ > c * max(‖w_i‖, 1e-3)`` scaled down to it: AGC, Brock et al., arXiv 2102.06171."""
    norms = [unit_norm(gradient, axis) for gradient, axis in zip(gradients, unit_axes, strict=True)]
    weight_norms = [unit_norm(weight, axis) for weight, axis in zip(weights, unit_axes, strict=True)]
    norm = torch.cat([one.flatten(1) for one in norms], dim=1)
    weight_norm = torch.cat([one.flatten(1) for one in weight_norms], dim=1).clamp(min=SMALLEST_WEIGHT_NORM)
    max_norm = threshold.unsqueeze(1) * weight_norm
    too_large = norm > max_norm
    coefficient = torch.where(too_large, max_norm / norm, 1.0)
    of_each = coefficient.split([one[0].numel() for one in norms], dim=1)
    torch._foreach_mul_(gradients, [part.view_as(one) for part, one in zip(of_each, norms, strict=True)])
    return too_large.any(dim=1)


PARAMETER_RULES: dict[str, Rule] = {
    "param_norm": clip_param_norm,
    "standardize": standardize,
    "agc": clip_unit_norm,
    "rms": clip_rms,
    "spectral": soften_singular_values,
}
"""The rules that go parameter by parameter, by strategy name; ``value`` needs no parameters, only entries."""


def unit_norm(tensor: Tensor, unit_axis: int | None) -> Tensor:
    """Norm of every unit of ``[K, *shape]``, with axes of length 1 for what a unit consists of."""
    kept = {0} if unit_axis is None else {0, 1 + unit_axis}
    axes = [axis for axis in range(tensor.ndim) if axis not in kept]
    # Several times as fast as vector_norm where the last axis is that of the units.
    return tensor.square().sum(dim=axes, keepdim=True).sqrt() if axes else tensor.abs()


def _across(per_model: Tensor, gradient: Tensor) -> Tensor:
    """``[K]`` as ``[K, 1, ..., 1]``, to broadcast against ``gradient`` ``[K, *shape]``."""
    return per_model.view(-1, *[1] * (gradient.ndim - 1))


def _each_across(numbers: Tensor, gradients: list[Tensor]) -> list[Tensor]:
    """One row ``[K]`` of ``numbers`` for each gradient, to broadcast against it."""
    return [_across(row, gradient) for row, gradient in zip(numbers.unbind(), gradients, strict=True)]
