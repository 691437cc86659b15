"""Windows of a real-valued series to forecast: the user's own table, and sunspots."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.files.layout import Reading
from gradstudy.models.tasks.files.numeric_table import DEFAULT_GAPS, NumericTable, read_numeric_table
from gradstudy.models.tasks.options import AUTO
from gradstudy.models.tasks.values import ValueSequences

HELD_OUT_SHARE = 0.2
"""Share of the rows, the last ones, whose forecasts are validated."""

_SHOWN = 6
"""Columns that are left out which are named."""

SUNSPOTS = Path(__file__).with_name("sunspots.csv")
"""Yearly mean sunspot numbers from 1700 to 2008, of the National Geophysical Data Center, in the public domain, as the
package statsmodels has them (``statsmodels.datasets.sunspots``)."""


def load_sunspots(window: int, horizon: int, standardize: bool) -> ValueSequences:
    """Windows of the yearly sunspot numbers; raises TaskError where the series is too short for them."""
    table = read_numeric_table(str(SUNSPOTS), Reading(columns=("SUNACTIVITY",)), rows=1000)
    return _windows(table, "yearly sunspot numbers 1700 to 2008", window, horizon, standardize)


def load_series_file(
    path: str,
    window: int,
    horizon: int,
    standardize: bool,
    columns: str,
    rows: int,
    separator: str,
    decimal: str,
    header: str | int,
    missing: str,
    gaps: str,
) -> ValueSequences:
    """Windows of the numeric columns of a table.

    The model reads ``window`` rows and forecasts the ``horizon`` rows after them. The last fifth of the rows is for
    validation: no row of it is a target of training, nor part of the statistics.

    Args:
        path: of a text file.
        window: rows of a source.
        horizon: rows of a target.
        standardize: whether each column is scaled by mean and standard deviation of its training rows.
        columns: names with commas between them; empty for all that are numbers and do not just count.
        rows: how many rows are kept, the last ones.
        separator: between cells, see ``Reading``.
        decimal: sign of the numbers, see ``Reading``.
        header: line of the names, see ``Reading``.
        missing: further cells that mean a missing number, with commas between them.
        gaps: what becomes of rows with a missing number, of ``GAPS``.

    Raises:
        TaskError: the file cannot be read, a cell is not a number, no column changes, or there are too few rows.
    """
    said = Reading(separator, decimal, header, _names(missing), _names(columns))
    table = read_numeric_table(path, said, rows, gaps)
    taken, constant = (table, ()) if columns else _without_constant(table)
    data = _windows(taken, path, window, horizon, standardize)
    return replace(data, reading=_reading(taken, constant, said, gaps))


def _names(given: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in given.split(",")) if given else ()


def _reading(table: NumericTable, constant: tuple[str, ...], said: Reading, gaps: str) -> tuple[str, ...]:
    """How the file was read, and what of it needs attention, a line each."""
    left_out = [*table.left_out, *constant]
    shown = ", ".join(left_out[:_SHOWN]) + (f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else "")
    columns = f"{len(table.names)} columns" if len(table.names) != 1 else "1 column"
    parts = [table.words, f"{columns} of {table.all_columns}" + (f", left out: {shown}" if shown else ""), *table.notes]
    other = "other ways: --task-option separator=, decimal=, header=, columns=, missing=, gaps="
    hazards = list(table.hazards)
    if said.decimal != AUTO and not table.has_decimals:
        hazards.append(f"decimal={said.decimal} changes nothing: no number has a decimal sign")
    if gaps not in (DEFAULT_GAPS, "error") and not table.has_gaps:
        hazards.append(f"gaps={gaps} changes nothing: there are none")
    return (f"read as {'; '.join(parts)} ({other})", *(f"careful: {hazard}" for hazard in hazards))


def _windows(table: NumericTable, origin: str, window: int, horizon: int, standardize: bool) -> ValueSequences:
    values = table.values
    split = _split(values)
    first_validation = max(0, split - window)
    train = split - window - horizon + 1
    validation = len(values) - window - horizon + 1 - first_validation
    if train < 1 or validation < 1:
        raise TaskError(
            f"{origin} has {len(values):,} rows, {split:,} of them to train on, which is too few for a window of "
            f"{window} and a horizon of {horizon}: shorten them, or give more rows"
        )
    _check_constant(table, split, origin)
    if standardize:
        mean, std = values[:split].mean(0, dtype=np.float64), values[:split].std(0, dtype=np.float64)
        values = ((values - mean) / std).astype(np.float32)
    numbers = np.arange(train + validation)
    start = np.where(numbers < train, numbers, numbers - train + first_validation)
    names = ", ".join(table.names[:5]) + (f" and {len(table.names) - 5} more" if len(table.names) > 5 else "")
    scale = "scaled by the training rows" if standardize else "as they are"
    details = [f"{len(values):,} rows, the first {split:,} to train on", f"columns {names}, {scale}"]
    return ValueSequences(
        source=values,
        target=values,
        source_start=start,
        target_start=start + window,
        source_steps=window,
        target_steps=horizon,
        decoder=True,
        train=np.arange(train),
        validation=train + np.random.default_rng(0).permutation(validation),
        origin=f"{origin}, {window} rows to read and {horizon} to forecast",
        details="; ".join(details),
        file_digest=table.digest,
    )


def _split(values: NDArray[np.float32]) -> int:
    """How many rows are to train on."""
    return len(values) - round(HELD_OUT_SHARE * len(values))


def _constant(table: NumericTable) -> NDArray[np.bool_]:
    """Which columns do not change in the rows to train on."""
    training = table.values[: _split(table.values)]
    return np.asarray((training == training[:1]).all(0))


def _without_constant(table: NumericTable) -> tuple[NumericTable, tuple[str, ...]]:
    """The table without columns that do not change, and why they are left out."""
    constant = _constant(table)
    if not constant.any() or constant.all():
        return table, ()
    named = zip(table.names, table.values[0].tolist(), constant, strict=True)
    left_out = tuple(f"{name} (always {value:g})" for name, value, is_constant in named if is_constant)
    names = tuple(name for name, is_constant in zip(table.names, constant, strict=True) if not is_constant)
    return replace(table, names=names, values=np.ascontiguousarray(table.values[:, ~constant])), left_out


def _check_constant(table: NumericTable, split: int, origin: str) -> None:
    """Raise TaskError where a column does not change in the first ``split`` rows."""
    constant = np.flatnonzero(_constant(table))
    if len(constant):
        name, value = table.names[constant[0]], table.values[0, constant[0]]
        raise TaskError(
            f"{origin}: column {name!r} is {value:g} in all {split:,} rows to train on, so there is nothing to "
            "forecast: leave it out with columns=NAME,NAME"
        )
