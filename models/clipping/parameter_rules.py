"""Rules that look at one parameter's gradient at a time, in K models at once.

Each changes ``gradient`` ``[K, *shape]`` in place and returns which of the K it changed, bool ``[K]``.
``weight`` ``[K, *shape]`` is the parameter itself, ``unit_axis`` the axis of its units (None for a vector,
which is one unit) and ``threshold`` ``[K]`` one threshold per model.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.linalg import vector_norm

STANDARD_DEVIATION_EPSILON = 1e-8
"""Added to a standard deviation before dividing by it."""

SMALLEST_STANDARDIZED = 3
"""Entries that a parameter must have to be standardized: of one or two only the signs would be left."""

SMALLEST_WEIGHT_NORM = 1e-3
"""The norm that AGC gives to units whose weights are smaller, so that units that start at zero can grow."""


def clip_value(gradient: Tensor, threshold: Tensor) -> Tensor:
    """``clamp(g_i, -c, c)``: Mikolov 2012, as in ``clip_grad_value_``; takes whole rows ``[K, P]`` too."""
    rows = gradient.flatten(1)
    changed = (rows.amax(dim=1) > threshold) | (rows.amin(dim=1) < -threshold)
    bound = _across(threshold, gradient)
    torch.minimum(gradient, bound, out=gradient)  # several times as fast as clamp_ with a bound per model
    torch.maximum(gradient, -bound, out=gradient)
    return changed


def clip_param_norm(gradient: Tensor, weight: Tensor, unit_axis: int | None, threshold: Tensor) -> Tensor:
    """``g_p * c / max(‖g_p‖, c)``: Keras ``clipnorm``."""
    norm = vector_norm(gradient.flatten(1), dim=1)
    coefficient = threshold / torch.maximum(norm, threshold)
    gradient.mul_(_across(coefficient, gradient))
    return coefficient != 1


def standardize(gradient: Tensor, weight: Tensor, unit_axis: int | None, threshold: Tensor) -> Tensor:
    """``(g_p - mean) / (std + 1e-8)`` of three or more entries, population std: ZNorm, arXiv 2408.01215."""
    if gradient[0].numel() < SMALLEST_STANDARDIZED:
        return torch.zeros_like(threshold, dtype=torch.bool)
    mean = gradient.flatten(1).mean(dim=1)
    gradient.sub_(_across(mean, gradient))
    std: Tensor = vector_norm(gradient.flatten(1), dim=1) / math.sqrt(gradient[0].numel())
    divisor = std + STANDARD_DEVIATION_EPSILON
    gradient.div_(_across(divisor, gradient))
    return (mean != 0) | ((std != 0) & (divisor != 1))


def clip_unit_norm(gradient: Tensor, weight: Tensor, unit_axis: int | None, threshold: Tensor) -> Tensor:
    """Units with ``‖g_i‖ > c * max(‖w_i‖, 1e-3)`` scaled down to it: AGC, Brock et al., arXiv 2102.06171."""
    norm = unit_norm(gradient, unit_axis)
    weight_norm = unit_norm(weight, unit_axis).clamp(min=SMALLEST_WEIGHT_NORM)
    max_norm = _across(threshold, gradient) * weight_norm
    too_large = norm > max_norm
    gradient.mul_(torch.where(too_large, max_norm / norm, 1.0))
    return too_large.flatten(1).any(dim=1)


PARAMETER_RULES: dict[str, Callable[[Tensor, Tensor, int | None, Tensor], Tensor]] = {
    "param_norm": clip_param_norm,
    "standardize": standardize,
    "agc": clip_unit_norm,
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
