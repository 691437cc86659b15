"""The frontier: the largest learning rate at which the probability of divergence stays below 10%.

All frontiers of a study are estimated together by ``FrontierModel``: P(diverged) rises as a logistic curve with the
decades of the learning rate, another one for each cell, strategy, choice of factors and half-decade of threshold.
Frontiers that have something in common learn from each other, and from how far above its frontier a run ended.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gradstudy.study.frontier.fit import MOST_TARGETS, Ints, Places, Runs
from gradstudy.study.frontier.intervals import intervals
from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.frontier.margins import NON_FINITE, bounded_margins
from gradstudy.study.frontier.posterior import FrontierModel
from gradstudy.study.statistics.grouping import GROUP, group_keys, in_words, setting_of
from gradstudy.study.statistics.rates import CONFIDENCE, judged

FEWEST_SETTINGS = 8
"""Settings of a cell and strategy below which no frontier is reported, unless they are replicated."""
FEWEST_RATES, FEWEST_RUNS = 3, 24
"""Of a cell and strategy: with so many learning rates and runs, the settings may be fewer."""
HALF_BIN = 0.25
"""Decades from the beginning of a threshold's bin to its middle."""

BRACKETED, ABOVE, BELOW, TOO_FEW = "bracketed", "not bracketed above", "not bracketed below", "too few runs"
COLUMNS = [
    "cell", "strategy", "threshold_bin", "runs", "diverged", "lowest_learning_rate", "highest_learning_rate",
    "frontier", "frontier_low", "frontier_high", "status",
]  # fmt: skip


def frontier(trials: pd.DataFrame) -> pd.DataFrame:
    """The frontier of each cell, strategy and half-decade of threshold.

    Args:
        trials: rows of ``trial_result``.

    Returns:
        One row for each bin that has runs, unless its cell and strategy had one learning rate only, with
        ``cell``, ``strategy``, ``factors`` in words where any are varied,
        ``threshold_bin`` (NaN without threshold),
        ``runs``, ``diverged``, the lowest and the highest learning rate tried, and

        - ``frontier``, ``frontier_low``, ``frontier_high``: the learning rate with its 95% interval; NaN where it lies
          outside of what was tried,
        - ``status``: ``bracketed``; ``not bracketed above`` (no more than 10% risk at the highest learning rate tried);
          ``not bracketed below`` (more than that at the lowest); ``too few runs``.
    """
    runs = judged(trials).dropna(subset=["learning_rate"])
    runs = runs[in_words(runs).groupby(group_keys(runs))["learning_rate"].transform("nunique") > 1]
    if runs.empty:
        columns = [*group_keys(trials), *COLUMNS[len(GROUP) :]]
        return pd.DataFrame(columns=columns).astype({"frontier": float, "threshold_bin": float})
    factors = [given if isinstance(given, dict) else {} for given in runs["factors"]]
    runs = in_words(runs).assign(lost=runs["outcome"] == "diverged", setting=setting_of(runs))
    keys = group_keys(runs)
    targets = runs.groupby([*keys, "threshold_bin"], dropna=False)
    bins = targets.agg(
        runs=("lost", "size"),
        diverged=("lost", "sum"),
        lowest_learning_rate=("learning_rate", "min"),
        highest_learning_rate=("learning_rate", "max"),
    ).reset_index()
    target = np.asarray(targets.ngroup(), np.int64)
    # Each choice of factors alone where all are too many to be fitted together.
    alone = runs["factors"].to_numpy() if len(bins) > MOST_TARGETS else np.zeros(len(runs))
    found = np.empty((3, len(bins)))
    for choice in pd.unique(alone):
        mine = np.flatnonzero(alone == choice)
        of_choice, number = np.unique(target[mine], return_inverse=True)
        found[:, of_choice] = _crossings(runs.iloc[mine], [factors[place] for place in mine], number.astype(np.int64))
    return _with_frontiers(bins, runs, keys, *found)


def _crossings(runs: pd.DataFrame, factors: Sequence[dict[str, object]], target: Ints) -> tuple[Floats, Floats, Floats]:
    """Where the risk passes 10%, in decades, and its interval (low, high), [targets]; ``target`` [runs] is each's."""
    decades = np.log10(runs["learning_rate"].to_numpy(float))
    middle = (decades.min() + decades.max()) / 2
    _, first = np.unique(target, return_index=True)
    places = _places(runs.iloc[first], [factors[place] for place in first])
    finite = ~runs["reason"].isin(NON_FINITE)
    margins = bounded_margins(runs["lost"], finite, runs["final_loss"], runs["initial_loss"])
    seen = Runs(target, decades - middle)
    model = FrontierModel(places, seen, margins, Runs.none())
    low, high = intervals(model, seen, margins, CONFIDENCE)
    return model.crossing + middle, low + middle, high + middle


def _places(targets: pd.DataFrame, factors: Sequence[dict[str, object]]) -> Places:
    """The targets, of each of which one run is given, as the model of the frontiers sees them."""
    codes = [pd.factorize(targets[name])[0] for name in GROUP]
    names = sorted({name for given in factors for name in given})
    codes += [pd.factorize(pd.Series([str(given.get(name)) for given in factors]))[0] for name in names]
    # Thresholds of two strategies share no axis.
    middles = np.log10(targets["threshold_bin"].to_numpy(float)) + HALF_BIN
    strategy = targets["strategy"].to_numpy()
    axes = [np.where(strategy == name, middles, np.nan) for name in pd.unique(strategy)]
    return Places(np.stack(codes, 1).astype(np.int64), np.stack(axes, 1))


def _with_frontiers(
    bins: pd.DataFrame, runs: pd.DataFrame, keys: list[str], crossing: Floats, low: Floats, high: Floats
) -> pd.DataFrame:
    """The bins with their frontiers, where what their cell and strategy tried brackets them."""
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

    statuses = [~enough, crossing > highest, crossing < lowest]
    return bins.assign(
        frontier=within(crossing),
        frontier_low=within(low),
        frontier_high=within(high),
        status=np.select(statuses, [TOO_FEW, ABOVE, BELOW], BRACKETED),
    )
