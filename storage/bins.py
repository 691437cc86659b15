"""Bins for thresholds and learning rates: two for each factor of ten."""

import math


def half_decade(value: float | None) -> float | None:
    """The lower end of the bin of a positive number: ..., 0.1, 0.316, 1, 3.16, 10, ...

    It is computed here because not every SQLite has ``log10``. None for what has no logarithm.
    """
    if value is None or not math.isfinite(value) or value <= 0:
        return None
    # Rounded first: an end belongs to the bin that it begins, whatever the last bit of its logarithm.
    return float(10 ** (math.floor(round(2 * math.log10(value), 9)) / 2))


def half_decade_starts(low: float, high: float) -> list[float]:
    """Where the bins begin, in decades, that a range of positive numbers has more than its upper end in common with."""
    first, last = math.floor(round(2 * math.log10(low), 9)), math.ceil(round(2 * math.log10(high), 9))
    return [half / 2 for half in range(first, max(last, first + 1))]
