"""Dropout whose mask depends on a trial's own seed and step only, never on its neighbours in the array."""

import torch
from torch import Tensor

# Constants of the SplitMix64 generator (Steele, Lea and Flood 2014), as signed 64-bit integers.
_GAMMA = 0x9E3779B97F4A7C15 - 2**64
_MIX_1 = 0xBF58476D1CE4E5B9 - 2**64
_MIX_2 = 0x94D049BB133111EB - 2**64
BITS = 24
"""Random bits in a uniform number: as many as a float32 holds."""


def _shift_right(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)


def dropout_key(seed: int) -> int:
    """The key of a trial's first step; each further step counts one up, and after 2^32 meets the next seed's."""
    return _signed(seed << 32)


def _signed(number: int) -> int:
    """The number that a 64-bit integer holds after an overflow."""
    return (number + 2**63) % 2**64 - 2**63


def dropout(x: Tensor, rate: float, keys: Tensor, positions: Tensor, layer: int) -> Tensor:
    """Zero each element with probability ``rate`` and scale the others by 1 / (1 - rate).

    Args:
        x: activations, [K, T, B, H].
        rate: probability of a zero, 0 <= rate < 1.
        keys: one 64-bit integer for each trial and step, [K].
        positions: the time step in each trial's own sequence, [T].
        layer: which dropout of the model this is.
    """
    batch, hidden = x.shape[2:]
    units = torch.arange(batch * hidden, device=x.device).view(batch, hidden)
    element = positions.view(-1, 1, 1) * (batch * hidden) + units
    kept = random_bits(keys, layer, element, BITS) >= int(rate * 2**BITS)
    return x * kept * (1 / (1 - rate))


def random_bits(keys: Tensor, draw: int, element: Tensor, bits: int) -> Tensor:
    """Random integers from 0 to below 2^bits, [K, *element.shape].

    Args:
        keys: one 64-bit integer for each trial and step, [K].
        draw: which draw of the trial's step this is.
        element: the number of each element of the draw, any shape.
        bits: at most 63.
    """
    key = _mix(keys + _signed((draw + 1) * _GAMMA)).view(-1, *(1,) * element.ndim)
    return _shift_right(_mix(key + (element + 1) * _GAMMA), 64 - bits)
