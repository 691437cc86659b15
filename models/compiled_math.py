"""Elementary functions for compiled kernels: vector instructions in float32, the C library in float64.

The C library's functions are called once for each element; these are polynomials, which the compiler vectorizes.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

_HALF, _ONE = np.float32(0.5), np.float32(1)
_INFINITY = np.float32(np.inf)

# exp(x) = 2^n exp(r), r = x - n ln 2 in two parts, and the polynomial of Cephes' expf (Moshier 1989).
_LOG2_E = np.float32(1.44269504088896341)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_E0, _E1, _E2, _E3, _E4, _E5 = (
    np.float32(value)
    for value in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)
)
_EXP_LIMIT = np.float32(88)
_EXPONENT_BIAS, _MANTISSA_BITS = np.int32(127), np.int32(23)

# tanh(x) = x P(x^2) / Q(x^2), the rational function of Eigen's ptanh; beyond the limit tanh is 1 in float32.
_TANH_LIMIT = np.float32(7.90531110763549805)
_P1, _P3, _P5, _P7, _P9, _P11, _P13 = (
    np.float32(value)
    for value in (
        4.89352455891786e-3,
        6.37261928875436e-4,
        1.48572235717979e-5,
        5.12229709037114e-8,
        -8.60467152213735e-11,
        2.00018790482477e-13,
        -2.76076847742355e-16,
    )
)
_Q0, _Q2, _Q4, _Q6 = (
    np.float32(value) for value in (4.89352518554385e-3, 2.26843463243900e-3, 1.18534705686654e-4, 1.19825839466702e-6)
)


def exp(x: float) -> float:
    """The exponential function for x <= 0, within 2e-7 of its value in float32; below -88 at most 1e-38."""
    raise NotImplementedError


def sigmoid(x: float) -> float:
    """The logistic function, within 2e-7 of its value in float32; exactly 0 and 1 far out."""
    raise NotImplementedError


def tanh(x: float) -> float:
    """The hyperbolic tangent, within 3e-7 of its value in float32; exactly -1 and 1 far out."""
    raise NotImplementedError


@overload(exp)
def _exp(x: Any) -> Callable[[Any], Any]:
    return _exp_float32 if x == types.float32 else _exp_float64


@overload(sigmoid)
def _sigmoid(x: Any) -> Callable[[Any], Any]:
    return _sigmoid_float32 if x == types.float32 else _sigmoid_float64


@overload(tanh)
def _tanh(x: Any) -> Callable[[Any], Any]:
    return _tanh_float32 if x == types.float32 else _tanh_float64


def _exp_float32(x: Any) -> Any:
    z = _EXP_LIMIT if x > _EXP_LIMIT else (-_EXP_LIMIT if x < -_EXP_LIMIT else x)  # noqa: FURB136 (NaN stays)
    n = np.floor(z * _LOG2_E + _HALF)
    r = z - n * _LN2_HIGH - n * _LN2_LOW
    y = (((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _E5) * r * r + r + _ONE
    return y * np.int32((np.int32(n) + _EXPONENT_BIAS) << _MANTISSA_BITS).view(np.float32)


def _sigmoid_float32(x: Any) -> Any:
    exponential = _INFINITY if x < -_EXP_LIMIT else exp(-x)
    return _ONE / (_ONE + exponential)


def _tanh_float32(x: Any) -> Any:
    z = _TANH_LIMIT if x > _TANH_LIMIT else (-_TANH_LIMIT if x < -_TANH_LIMIT else x)  # noqa: FURB136 (NaN stays)
    y = z * z
    p = ((((((_P13 * y + _P11) * y + _P9) * y + _P7) * y + _P5) * y + _P3) * y + _P1) * z
    q = ((_Q6 * y + _Q4) * y + _Q2) * y + _Q0
    value = p / q
    return _ONE if x > _TANH_LIMIT else (-_ONE if x < -_TANH_LIMIT else value)


def _exp_float64(x: Any) -> Any:
    return math.exp(x)


def _sigmoid_float64(x: Any) -> Any:
    return 1 / (1 + math.exp(-x))


def _tanh_float64(x: Any) -> Any:
    return math.tanh(x)
