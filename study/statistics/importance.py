"""How much each factor says about divergence."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import entr, rel_entr

from gradstudy.study.statistics.grouping import all_values, weights
from gradstudy.study.statistics.rates import judged

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
DRAWS = 200
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
        ``factor``, ``importance`` (in falling order) with its 95% interval ``importance_low`` and ``importance_high``,
        from tables of counts drawn again (bootstrap: Efron 1979); ``without_one``, what is left of it when the one
        strategy is left out without which least is left; and ``levels``, how many values it was seen at. Empty when all
        runs diverged or none did: then there is nothing to explain.
    """
    runs = judged(trials)
    diverged = (runs["outcome"] == "diverged").to_numpy()
    rows = []
    if 0 < diverged.sum() < len(diverged):
        weight = np.asarray(weights(runs), np.float64)
        strategy = pd.factorize(runs["strategy"])[0]
        random = np.random.default_rng(0)
        for name, level, within in _factors(runs):
            if (levels := int(level.max()) + 1) > 1:
                counts = _counts(diverged, weight, level, within)
                found = _importance(counts)
                total = counts.sum()
                drawn = random.multinomial(round(total), counts.ravel() / total, DRAWS).reshape(DRAWS, *counts.shape)
                low, high = np.quantile([_importance(again) for again in drawn], [0.025, 0.975])
                left = [
                    _importance(_counts(diverged[kept], weight[kept], level[kept], within[kept]))
                    for left_out in range(strategy.max() + 1)
                    if (kept := strategy != left_out).any()
                ]
                rows.append((name, found, min(found, low), max(found, high), min([found, *left]), levels))
    columns = ["factor", "importance", "importance_low", "importance_high", "without_one", "levels"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("importance", ascending=False, ignore_index=True)


def _factors(runs: pd.DataFrame) -> Iterator[tuple[str, Codes, Codes]]:
    """Name, each run's level, and the group of runs that it is only compared within."""
    everywhere = np.zeros(len(runs), np.intp)
    yield "learning_rate", pd.factorize(runs["learning_rate_bin"])[0], everywhere
    yield "cell", pd.factorize(runs["cell"])[0], everywhere
    strategy = pd.factorize(runs["strategy"])[0]
    yield "strategy", strategy, everywhere
    yield "threshold", pd.factorize(runs["threshold_bin"], use_na_sentinel=False)[0], strategy
    varied = pd.DataFrame(all_values(runs), index=runs.index)
    for name in varied:
        values = varied[name]
        if pd.api.types.is_numeric_dtype(values) and values.nunique() > LEVELS:
            values = pd.qcut(values, LEVELS, duplicates="drop")
        yield str(name), pd.factorize(values.astype(str))[0], everywhere


def _counts(diverged: NDArray[np.bool_], weight: NDArray[np.float64], level: Codes, within: Codes) -> Floats:
    """The weights of the runs by group, level and whether they diverged, [groups, levels, 2]."""
    shape = int(within.max(initial=0)) + 1, int(level.max(initial=0)) + 1, 2
    place = np.ravel_multi_index((within, level, diverged.astype(np.intp)), shape)
    return np.bincount(place, weight, int(np.prod(shape))).astype(np.float64).reshape(shape)


def _importance(counts: NDArray[np.floating | np.integer]) -> float:
    """I(D; level | group) over H(D), less what is expected by chance; 0 where nothing is to be explained."""
    total = counts.sum()
    uncertainty = float(entr(counts.sum((0, 1)) / total).sum()) if total else 0.0
    if uncertainty == 0:
        return 0.0
    information = 0.0
    for group in counts:
        seen = group[group.sum(1) > 0][:, group.sum(0) > 0]
        if min(seen.shape) > 1:
            chance = (seen.shape[0] - 1) * (seen.shape[1] - 1) / (2 * seen.sum())
            information += (_mutual_information(seen) - chance) * seen.sum() / total
    return max(0.0, information / uncertainty)


def _mutual_information(counts: NDArray[np.floating | np.integer]) -> float:
    independent = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    return float(rel_entr(counts / counts.sum(), independent / counts.sum()).sum())
