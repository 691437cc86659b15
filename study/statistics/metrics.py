"""What runs measured beside the validation loss, as columns of numbers."""

import pandas as pd

METRIC = "metric "
"""Begins the name of a column that holds a metric."""


def with_metrics(trials: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``trial_result`` with a column for each metric, by name; NaN where a run has none, as a diverged one."""
    if "metrics" not in trials:
        return trials
    found = [each if isinstance(each, dict) else {} for each in trials["metrics"]]
    names = sorted({name for each in found for name in each})
    columns = {METRIC + name: [each.get(name) for each in found] for name in names}
    return trials.assign(**{name: pd.Series(values, trials.index, dtype=float) for name, values in columns.items()})


def metric_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a table that hold metrics."""
    return [name for name in map(str, table) if name.startswith(METRIC)]


def means(table: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """The mean of each metric, as ``agg`` of groups takes it."""
    return {column: (column, "mean") for column in metric_columns(table)}
