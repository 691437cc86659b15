"""The masks and numbers of ``models/dropout.py`` in one pass over memory, compiled for the CPU by numba."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

GAMMA, MIX_1, MIX_2 = (np.uint64(number) for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""Constants of the SplitMix64 generator (Steele, Lea and Flood 2014)."""

FIRST_SHIFT, SECOND_SHIFT, LAST_SHIFT, TO_24_BITS = (np.uint64(number) for number in (30, 27, 31, 40))


@njit(nogil=True, cache=True)
def fill_masks(masks: Array, keys: Array, draw: int, least: int, scale: float) -> None:
    """Write 0 where a random number of 24 bits is below ``least``, else ``scale``.

    Args:
        masks: to be filled, [K, N].
        keys: one 64-bit integer for each trial and step, unsigned, [K].
        draw: the number of the draw in its forward pass.
        least: see above.
        scale: see above, of the masks' type.
    """
    of_draw = np.uint64(draw + 1) * GAMMA
    kept, smallest = masks.dtype.type(scale), np.uint64(least)
    nothing = masks.dtype.type(0)
    for k in range(masks.shape[0]):
        key = _mixed(keys[k] + of_draw)
        row = masks[k]
        for n in range(row.shape[0]):
            uniform = _mixed(key + np.uint64(n + 1) * GAMMA) >> TO_24_BITS
            row[n] = kept if uniform >= smallest else nothing


@njit(nogil=True, cache=True)
def fill_uniforms(numbers: Array, keys: Array, draw: int, bits: int) -> None:
    """Write random numbers of so many bits from 0 to below 1.

    Args:
        numbers: to be filled, [K, N].
        keys: one 64-bit integer for each trial and step, unsigned, [K].
        draw: the number of the draw in its forward pass.
        bits: see above.
    """
    of_draw, dropped, unit = np.uint64(draw + 1) * GAMMA, np.uint64(64 - bits), 2.0 ** (-bits)
    for k in range(numbers.shape[0]):
        key = _mixed(keys[k] + of_draw)
        row = numbers[k]
        for n in range(row.shape[0]):
            row[n] = (_mixed(key + np.uint64(n + 1) * GAMMA) >> dropped) * unit


@njit(nogil=True, cache=True, inline="always")
def _mixed(x: Any) -> Any:
    x = (x ^ (x >> FIRST_SHIFT)) * MIX_1
    x = (x ^ (x >> SECOND_SHIFT)) * MIX_2
    return x ^ (x >> LAST_SHIFT)
