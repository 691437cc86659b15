"""Windows of a real-valued series to forecast: the user's own CSV file, and sunspots."""

from pathlib import Path

import numpy as np
import torch

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.files.numeric_table import NumericTable, read_numeric_table
from gradstudy.models.tasks.values import ValueSequences

HELD_OUT_SHARE = 0.2
"""Share of the rows, the last ones, whose forecasts are validated."""

SUNSPOTS = Path(__file__).with_name("sunspots.csv")
"""Yearly mean sunspot numbers from 1700 to 2008, of the National Geophysical Data Center, in the public domain, as the
package statsmodels has them (``statsmodels.datasets.sunspots``)."""


def load_sunspots(window: int, horizon: int, standardize: bool) -> ValueSequences:
    """Windows of the yearly sunspot numbers; raises TaskError where the series is too short for them."""
    table = read_numeric_table(str(SUNSPOTS), ("SUNACTIVITY",), rows=1000)
    return _windows(table, "yearly sunspot numbers 1700 to 2008", window, horizon, standardize)


def load_series_file(
    path: str, window: int, horizon: int, standardize: bool, columns: str, rows: int
) -> ValueSequences:
    """Windows of the numeric columns of a CSV file.

    The model reads ``window`` rows and forecasts the ``horizon`` rows after them. The last fifth of the rows is for
    validation: no row of it is a target of training, nor part of the statistics.

    Args:
        path: of a file in UTF-8, with or without a header.
        window: rows of a source.
        horizon: rows of a target.
        standardize: whether each column is scaled by mean and standard deviation of its training rows.
        columns: names with commas between them; empty for all that are numbers and do not just count.
        rows: how many rows are kept, the last ones.

    Raises:
        TaskError: the file cannot be read, a cell is not a number, a column is constant, or there are too few rows.
    """
    chosen = tuple(name.strip() for name in columns.split(",")) if columns else ()
    table = read_numeric_table(path, chosen, rows)
    return _windows(table, path, window, horizon, standardize)


def _windows(table: NumericTable, origin: str, window: int, horizon: int, standardize: bool) -> ValueSequences:
    values = table.values
    split = len(values) - round(HELD_OUT_SHARE * len(values))
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
    rows = torch.from_numpy(values)
    numbers = np.arange(train + validation)
    start = np.where(numbers < train, numbers, numbers - train + first_validation)
    names = ", ".join(table.names[:5]) + (f" and {len(table.names) - 5} more" if len(table.names) > 5 else "")
    scale = "scaled by the training rows" if standardize else "as they are"
    details = [f"{len(values):,} rows, the first {split:,} to train on", f"columns {names}, {scale}", *table.notes]
    return ValueSequences(
        source=rows,
        target=rows,
        source_start=torch.from_numpy(start),
        target_start=torch.from_numpy(start + window),
        source_steps=window,
        target_steps=horizon,
        decoder=True,
        train=torch.arange(train),
        validation=torch.from_numpy(train + np.random.default_rng(0).permutation(validation)),
        origin=f"{origin}, {window} rows to read and {horizon} to forecast",
        details="; ".join(details),
        file_digest=table.digest,
    )


def _check_constant(table: NumericTable, split: int, origin: str) -> None:
    """Raise TaskError where a column does not change in the first ``split`` rows."""
    training = table.values[:split]
    constant = np.flatnonzero((training == training[0]).all(0))
    if len(constant):
        name, value = table.names[constant[0]], training[0, constant[0]]
        raise TaskError(
            f"{origin}: column {name!r} is {value:g} in all {split:,} rows to train on, so there is nothing to "
            "forecast: leave it out with columns=NAME,NAME"
        )
