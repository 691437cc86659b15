"""How much each factor says about divergence."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import entr, rel_entr

from gradstudy.study.statistics.grouping import weights
from gradstudy.study.statistics.rates import judged

LEVELS = 6
"""Into how many equally frequent ranges a varied number is cut when it has more values than that."""


def divergence_importance(trials: pd.DataFrame) -> pd.DataFrame:
    """The share of the uncertainty about divergence that each factor takes away on its own.

    It is I(D; X) / H(D), the mutual information of factor and divergence over the entropy of divergence: 0 for a factor
    that says nothing, 1 for one that decides. Learning rate and threshold count in half-decades. A threshold means
    something within its strategy only, so its share is I(D; threshold | strategy) / H(D). Chance alone makes mutual
    information positive; its expectation is taken off. The runs of a setting count as one together: they agree more
    than those of different settings, which would look like information.

    Sources: uncertainty coefficient, Theil 1970; correction, Miller 1955.

    Args:
        trials: rows of ``trial_result``.

    Returns:
        ``factor``, ``importance`` (in falling order) and ``levels``, how many values it was seen at. Empty when all
        runs diverged or none did: then there is nothing to explain.
    """
    runs = judged(trials)
    diverged = (runs["outcome"] == "diverged").to_numpy()
    rows = []
    if 0 < diverged.sum() < len(diverged):
        weight = weights(runs)
        rate = np.average(diverged, weights=weight)
        uncertainty = entr([rate, 1 - rate]).sum()
        for name, factor, within in _factors(runs):
            levels = factor.nunique()
            if levels > 1:
                rows.append((name, max(0.0, _information(diverged, weight, factor, within) / uncertainty), levels))
    table = pd.DataFrame(rows, columns=["factor", "importance", "levels"])
    return table.sort_values("importance", ascending=False, ignore_index=True)


def _factors(runs: pd.DataFrame) -> Iterator[tuple[str, "pd.Series[Any]", "pd.Series[Any] | None"]]:
    """Name, levels, and what the factor is only compared within."""
    yield "learning_rate", runs["learning_rate_bin"], None
    yield "cell", runs["cell"], None
    yield "strategy", runs["strategy"], None
    yield "threshold", runs["threshold_bin"], runs["strategy"]
    varied = pd.DataFrame(runs["factors"].tolist(), index=runs.index)
    for name in varied:
        values = varied[name]
        if pd.api.types.is_numeric_dtype(values) and values.nunique() > LEVELS:
            values = pd.qcut(values, LEVELS, duplicates="drop")
        yield str(name), values.astype(str), None


def _information(
    diverged: NDArray[np.bool_], weight: "pd.Series[float]", factor: "pd.Series[Any]", within: "pd.Series[Any] | None"
) -> float:
    """I(D; factor | within) in nats, less what is expected by chance."""
    everything = [np.ones(len(factor), bool)]
    groups = everything if within is None else [(within == name).to_numpy() for name in within.unique()]
    information = 0.0
    for group in groups:
        counts = pd.crosstab(factor[group], diverged[group], weight[group], aggfunc="sum").fillna(0.0).to_numpy()
        if counts.size and min(counts.shape) > 1:
            chance = (counts.shape[0] - 1) * (counts.shape[1] - 1) / (2 * counts.sum())
            information += (_mutual_information(counts) - chance) * np.average(group, weights=weight)
    return information


def _mutual_information(counts: NDArray[np.float64]) -> float:
    independent = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    return float(rel_entr(counts / counts.sum(), independent / counts.sum()).sum())
