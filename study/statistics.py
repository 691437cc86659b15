"""Statistics of a study: pure functions from the frame of ``trial_result`` rows to frames."""

from collections.abc import Sequence

import pandas as pd
from scipy.stats import binomtest

CONFIDENCE = 0.95


def wilson_interval(diverged: int, runs: int) -> tuple[float, float]:
    """The 95% interval of a divergence rate, (low, high); (0, 1) when there are no runs.

    Source: Wilson 1927, as ``scipy.stats.binomtest(...).proportion_ci(method="wilson")``.
    """
    if runs == 0:
        return 0.0, 1.0
    interval = binomtest(diverged, runs).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def judged(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that say something about divergence: they trained, stalled or diverged."""
    return trials[trials["outcome"].isin(["trained", "stalled", "diverged"])]


def divergence_by(trials: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Divergence of each group of trials.

    Args:
        trials: rows of ``trial_result``.
        by: columns to group by; missing values form a group of their own.

    Returns:
        One row for each group, with the columns ``by`` and

        - ``runs``, ``diverged``, ``rate``, ``rate_low``, ``rate_high``: the rate with its 95% Wilson interval,
        - ``largest_kept_learning_rate``: the largest that a run survived; NaN when none did,
        - ``smallest_diverged_learning_rate``: the smallest that a run diverged at; NaN when none did,
        - ``best_validation_loss``: of the trained runs; NaN when none trained,
        - ``clipped_fraction``: mean share of the updates that the strategy changed.
    """
    runs = judged(trials)
    diverged = runs["outcome"] == "diverged"
    measured = runs.assign(
        diverged=diverged,
        kept_learning_rate=runs["learning_rate"].where(~diverged),
        diverged_learning_rate=runs["learning_rate"].where(diverged),
        trained_loss=runs["validation_loss"].where(runs["outcome"] == "trained"),
    )
    table = measured.groupby(list(by), dropna=False, as_index=False, sort=True).agg(
        runs=("diverged", "size"),
        diverged=("diverged", "sum"),
        largest_kept_learning_rate=("kept_learning_rate", "max"),
        smallest_diverged_learning_rate=("diverged_learning_rate", "min"),
        best_validation_loss=("trained_loss", "min"),
        clipped_fraction=("clipped_fraction", "mean"),
    )
    intervals = [wilson_interval(int(k), int(n)) for k, n in zip(table["diverged"], table["runs"], strict=True)]
    position = len(by) + 2
    table.insert(position, "rate", table["diverged"] / table["runs"])
    table.insert(position + 1, "rate_low", [low for low, _ in intervals])
    table.insert(position + 2, "rate_high", [high for _, high in intervals])
    return table
