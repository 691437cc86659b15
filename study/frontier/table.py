"""The frontier: the largest learning rate at which the probability of divergence stays below 10%.

All frontiers of a study are estimated together by ``FrontierModel``: P(diverged) rises as a logistic curve with the
decades of the learning rate, another one for each cell, strategy, choice of factors and half-decade of threshold.
Frontiers that have something in common learn from each other, and from how far above its frontier a run ended.
"""

import numpy as np
import pandas as pd

from gradstudy.study.frontier.crossings import crossings, telling
from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.spec.parts import Like
from gradstudy.study.statistics.grouping import GROUP, group_keys, in_words, setting_of

FEWEST_SETTINGS = 8
"""Settings of a cell and strategy below which no frontier is reported, unless they are replicated."""
FEWEST_RATES, FEWEST_RUNS = 3, 24
"""Of a cell and strategy: with so many learning rates and runs, the settings may be fewer."""

BRACKETED, ABOVE, BELOW, TOO_FEW = "bracketed", "not bracketed above", "not bracketed below", "too few runs"
COLUMNS = [
    "cell", "strategy", "threshold_bin", "runs", "diverged", "lowest_learning_rate", "highest_learning_rate",
    "frontier", "frontier_low", "frontier_high", "status",
]  # fmt: skip


def frontier(trials: pd.DataFrame, like: Like | None = None) -> pd.DataFrame:
    """The frontier of each cell, strategy and half-decade of threshold.

    Args:
        trials: rows of ``trial_result``.
        like: what another study found, where the frontiers may rest on that, too, as far as it predicts these runs.

    Returns:
        One row for each bin that has runs, unless its cell and strategy had one learning rate only, with
        ``cell``, ``strategy``, ``factors`` in words where any are varied,
        ``threshold_bin`` (NaN without threshold),
        ``runs``, ``diverged``, the lowest and the highest learning rate tried, and

        - ``frontier``, ``frontier_low``, ``frontier_high``: the learning rate with its 95% interval; NaN where it lies
          outside of what was tried,
        - ``status``: ``bracketed``; ``not bracketed above`` (no more than 10% risk at the highest learning rate tried);
          ``not bracketed below`` (more than that at the lowest); ``too few runs``,
        - with ``like``, ``trust``: the probability that what the other study found tells of this one.
    """
    runs = telling(trials)
    if runs.empty:
        columns = [*group_keys(trials), *COLUMNS[len(GROUP) :]]
        return pd.DataFrame(columns=columns).astype({"frontier": float, "threshold_bin": float})
    bins = crossings(runs, like)
    table = _with_frontiers(bins, runs)
    return table if like is None else table.assign(trust=bins["trust"])


def _with_frontiers(bins: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The bins with their frontiers, where what their cell and strategy tried brackets them."""
    keys = group_keys(runs)
    runs = in_words(runs.assign(setting=setting_of(runs)))
    # A bin alone has seen a few learning rates.
    tried = runs.groupby(keys).agg(
        lowest=("learning_rate", "min"),
        highest=("learning_rate", "max"),
        settings=("setting", "nunique"),
        rates=("learning_rate", "nunique"),
        all_runs=("setting", "size"),
    )
    group = bins[keys].merge(tried.reset_index(), how="left", on=keys)
    lowest, highest = np.log10(group["lowest"].to_numpy(float)), np.log10(group["highest"].to_numpy(float))
    replicated = (group["rates"] >= FEWEST_RATES) & (group["all_runs"] >= FEWEST_RUNS)
    enough = ((group["settings"] >= FEWEST_SETTINGS) | replicated).to_numpy()

    def within(decades: Floats) -> Floats:
        inside = enough & (decades >= lowest) & (decades <= highest)
        return np.power(10.0, np.where(inside, decades, np.nan))

    crossing = bins["crossing"].to_numpy()
    statuses = [~enough, crossing > highest, crossing < lowest]
    return bins[bins.columns[: bins.columns.get_loc("chosen")]].assign(
        frontier=within(crossing),
        frontier_low=within(bins["low"].to_numpy()),
        frontier_high=within(bins["high"].to_numpy()),
        status=np.select(statuses, [TOO_FEW, ABOVE, BELOW], BRACKETED),
    )
