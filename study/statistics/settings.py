"""How each setting fared by its own runs, and beside no clipping at the same learning rate."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from gradstudy.study.statistics.grouping import SETTING, in_words, is_varied
from gradstudy.study.statistics.metrics import means, metric_columns, with_metrics
from gradstudy.study.statistics.rates import CONFIDENCE, judged, rate_difference, wilson_interval

UNCLIPPED = "none"
MEASURED = ["runs", "diverged", "rate", "rate_low", "rate_high", "loss", "loss_away", "untrained"]
BESIDE = ["less_diverged", "less_diverged_low", "less_diverged_high", "less_loss", "less_loss_away"]


def by_setting(trials: pd.DataFrame) -> pd.DataFrame:
    """How each setting fared, the best first.

    Args:
        trials: rows of ``trial_result``.

    Returns:
        One row for each setting: ``SETTING``, ``factors`` in words where any are varied, and

        - ``runs``, ``diverged``, ``rate`` with its 95% Wilson interval ``rate_low`` to ``rate_high``,
        - ``loss``: the mean validation loss, of which a diverged run counts as untrained, and ``loss_away``: half of
          its 95% interval by Student's t; NaN of one run; ``untrained``: that of the untrained model,
        - ``less_diverged`` with Newcombe's interval, and ``less_loss`` with half of Welch's: what it is below the
          setting without clipping at the same cell, learning rate and factors; NaN where there is none, and of it,
        - the mean of each metric over the runs that have it, see ``with_metrics``.
    """
    runs = with_metrics(in_words(judged(trials))).dropna(subset=["learning_rate"])
    keys = [*SETTING, "factors"]
    lost = runs["outcome"] == "diverged"
    runs = runs.assign(lost=lost, loss=runs["validation_loss"].where(~lost, runs["initial_validation_loss"]))
    table = runs.groupby(keys, dropna=False, as_index=False).agg(
        runs=("lost", "size"), diverged=("lost", "sum"), loss=("loss", "mean"), variance=("loss", "var"),
        untrained=("initial_validation_loss", "mean"), **means(runs),
    )  # fmt: skip
    table["rate"] = table["diverged"] / table["runs"]
    intervals = [wilson_interval(k, n) for k, n in zip(table["diverged"], table["runs"], strict=True)]
    table[["rate_low", "rate_high"]] = np.array(intervals, float).reshape(len(table), 2)
    squared = table["variance"] / table["runs"]
    table["loss_away"] = [_half(*each) for each in zip(squared, table["runs"] - 1, strict=True)]
    plain = table[table["strategy"] == UNCLIPPED].set_index(["cell", "learning_rate", "factors"])
    rows = [_beside(row, plain) for row in table.to_dict("records")]
    table[BESIDE] = np.array(rows, float).reshape(len(table), len(BESIDE))
    words = ["factors"] if is_varied(table) else []
    columns = [*SETTING[:2], *words, *SETTING[2:], *MEASURED, *BESIDE, *metric_columns(table)]
    return table.sort_values("loss", ignore_index=True)[columns]


def _beside(row: Mapping[Hashable, Any], plain: pd.DataFrame) -> Sequence[float]:
    """How much less often a setting diverged than one without clipping, and how much lower it ended."""
    key = (row["cell"], row["learning_rate"], row["factors"])
    if row["strategy"] == UNCLIPPED or key not in plain.index:
        return [np.nan] * len(BESIDE)
    other = plain.loc[[key]].iloc[0]
    clipped, unclipped = pd.Series(row), other
    fewer = rate_difference(clipped["diverged"], clipped["runs"], unclipped["diverged"], unclipped["runs"])
    squares = [float(each["variance"] / each["runs"]) for each in (clipped, unclipped)]
    freedom = [float(each["runs"] - 1) for each in (clipped, unclipped)]
    # Welch and Satterthwaite: 1947.
    parts = sum(square**2 / of for square, of in zip(squares, freedom, strict=True) if of)
    degrees = sum(squares) ** 2 / parts if parts else np.nan
    return [*fewer, float(unclipped["loss"] - clipped["loss"]), _half(sum(squares), degrees)]


def _half(variance: float, freedom: float) -> float:
    """Half of the 95% interval of a mean of this variance."""
    if not freedom > 0:
        return float("nan")
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2) * np.sqrt(variance))
