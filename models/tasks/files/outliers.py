"""Values that stand for something else than a measurement, such as -9999."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_FAR = 10
"""How many times the spread of all others a single value is away to be told."""

_CODES = (-9999, -999, -99, -200, 999, 9999, 99999, 999999, -99999, 999.9, 9999.9, 99.99, -999.9, -9999.9, -888, -8888)


def far_from_the_rest(values: NDArray[np.float32], names: Sequence[str]) -> list[str]:
    """A sentence for each value that is the least or greatest of a column and far from all others.

    Far is further than the others are from one another where it is repeated or one of the codes that loggers write,
    and ten times as far where it is there once.

    Args:
        values: [R, F]; NaN where there is none.
        names: of the columns.
    """
    found: dict[float, dict[int, int]] = {}
    for column in range(len(names)):
        series = values[:, column]
        series = series[~np.isnan(series)]
        if len(series) < 10:
            continue
        for value in _far(series):
            found.setdefault(value, {})[column] = int((series == value).sum())
    for value in found:  # in another column it may be no further away than others are
        for column in range(len(names)):
            count = int((values[:, column] == value).sum())
            if count > 1 and value in (np.nanmin(values[:, column]), np.nanmax(values[:, column])):
                found[value][column] = count
    return [_sentence(value, columns, names) for value, columns in found.items()]


def _far(series: NDArray[np.float32]) -> list[float]:
    """The least and the greatest value of a column, if they are far from the rest."""
    low, high = series.min(), series.max()
    rest = series[(series != low) & (series != high)]
    if not len(rest):
        return []
    inner_low, inner_high = float(rest.min()), float(rest.max())
    spread = inner_high - inner_low
    found = []
    for value, distance in ((float(low), inner_low - float(low)), (float(high), float(high) - inner_high)):
        coded = any(np.isclose(value, code, rtol=1e-6) for code in _CODES)
        repeated = int((series == np.float32(value)).sum()) > 1
        if spread > 0 and distance > spread * (1 if repeated or coded else _FAR):
            found.append(value)
    return found


def _sentence(value: float, columns: dict[int, int], names: Sequence[str]) -> str:
    ordered = sorted(columns, key=lambda column: -columns[column])
    most = ordered[0]
    where = names[most] if len(ordered) == 1 else f"{names[most]} and {len(ordered) - 1} more columns"
    if len(ordered) == 2:
        where = f"{names[most]} and {names[ordered[1]]}"
    cells = "1 cell" if columns[most] == 1 else f"{columns[most]:,} cells"
    hold = "holds" if columns[most] == 1 else "hold"
    shown = np.format_float_positional(np.float32(value), trim="-")
    return f"{cells} of {where} {hold} {shown}, far from all others: --task-option missing={shown} reads it as a gap"
