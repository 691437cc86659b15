"""Rules that multiply a model's whole gradient by one coefficient, which follows from its norm.

Each takes the norms ``[K]`` of K gradients and K thresholds ``[K]``, or one for all, and returns the coefficients
``[K]``.
"""

from collections.abc import Callable

from torch import Tensor

NORM_EPSILON = 1e-6
"""Added to a norm before dividing by it, as ``torch.nn.utils.clip_grad_norm_`` does."""


def norm_coefficient(norm: Tensor, max_norm: Tensor | float) -> Tensor:
    """``min(1, c / (‖g‖ + 1e-6))``: Pascanu et al. 2013, arXiv 1211.5063, as in ``clip_grad_norm_``.

    As there, the coefficient of an infinite norm is 0 and that of a NaN norm is NaN.
    """
    return (max_norm / (norm + NORM_EPSILON)).clamp(max=1.0)


def normalize_coefficient(norm: Tensor, target_norm: Tensor | float) -> Tensor:
    """``c / (‖g‖ + 1e-6)``, always: normalised gradient descent, Zhang et al. 2020, arXiv 1905.11881."""
    return target_norm / (norm + NORM_EPSILON)


def skip_norm_coefficient(norm: Tensor, threshold: Tensor | float) -> Tensor:
    """0, which skips the step, where ‖g‖ >= c or is not finite: Megatron-LM, axlearn."""
    return (norm < threshold).to(norm.dtype)


SCALE_RULES: dict[str, Callable[[Tensor, Tensor | float], Tensor]] = {
    "norm": norm_coefficient,
    "normalize": normalize_coefficient,
    "skip_norm": skip_norm_coefficient,
}
"""The rules without state, by strategy name; those of ``NORM_MEMORIES`` remember earlier norms."""
