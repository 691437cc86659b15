"""Where the risk passes 10%: the crossing of each cell, strategy, choice of factors and half-decade of threshold."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gradstudy.study.frontier.fit import MOST_TARGETS
from gradstudy.study.frontier.intervals import intervals
from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.frontier.margins import NON_FINITE, bounded_margins
from gradstudy.study.frontier.places import Ints, Places, Runs
from gradstudy.study.frontier.posterior import FrontierModel
from gradstudy.study.frontier.readings import Named, half_of, readings
from gradstudy.study.spec.factors import FactorValue
from gradstudy.study.spec.parts import Like
from gradstudy.study.statistics.grouping import GROUP, group_keys, in_words
from gradstudy.study.statistics.rates import CONFIDENCE, judged

HALF_BIN = 0.25
"""Decades from the beginning of a threshold's bin to its middle."""
FITTED = ["crossing", "low", "high", "slope", "rise", "trust"]


def telling(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``trial_result`` that tell of frontiers: judged, of a cell and strategy with several rates."""
    runs = judged(trials).dropna(subset=["learning_rate"])
    return runs[in_words(runs).groupby(group_keys(runs))["learning_rate"].transform("nunique") > 1]


def crossings(runs: pd.DataFrame, like: Like | None = None) -> pd.DataFrame:
    """The crossings of runs that tell of any.

    Args:
        runs: rows of ``trial_result``, see ``telling``; at least one.
        like: what another study found, where crossings may rest on that, too.

    Returns:
        One row for each bin that has runs, with ``cell``, ``strategy``, ``factors`` in words where any are varied,
        ``threshold_bin``, ``runs``, ``diverged``, the lowest and the highest learning rate tried, ``chosen``: the
        factors' values by name, and

        - ``crossing``, ``low``, ``high``: decades of learning rate, with the 95% interval,
        - ``slope``, ``rise``: that are usual among those fitted together, see ``Fit``,
        - ``trust``: the probability that what the other study found tells of this one.
    """
    factors = [given if isinstance(given, dict) else {} for given in runs["factors"]]
    runs = in_words(runs).assign(lost=runs["outcome"] == "diverged")
    targets = runs.groupby([*group_keys(runs), "threshold_bin"], dropna=False)
    bins = targets.agg(
        runs=("lost", "size"),
        diverged=("lost", "sum"),
        lowest_learning_rate=("learning_rate", "min"),
        highest_learning_rate=("learning_rate", "max"),
    ).reset_index()
    target = np.asarray(targets.ngroup(), np.int64)
    # Each choice of factors alone where all are too many to be fitted together.
    alone = runs["factors"].to_numpy() if len(bins) > MOST_TARGETS else np.zeros(len(runs))
    fitted, chosen = np.empty((len(FITTED), len(bins))), np.empty(len(bins), object)
    for choice in pd.unique(alone):
        mine = np.flatnonzero(alone == choice)
        of_choice, first, number = np.unique(target[mine], return_index=True, return_inverse=True)
        chosen[of_choice] = [factors[place] for place in mine[first]]
        fitted[:, of_choice] = _fitted(
            runs.iloc[mine], number.astype(np.int64), runs.iloc[mine[first]], list(chosen[of_choice]), like
        )
    return bins.assign(chosen=chosen, **dict(zip(FITTED, fitted, strict=True)))


def _fitted(
    runs: pd.DataFrame, target: Ints, firsts: pd.DataFrame, factors: Sequence[dict[str, FactorValue]], like: Like | None
) -> tuple[Floats, ...]:
    """What ``FITTED`` names, [targets]; ``target`` [runs] is each run's, ``firsts`` are the first ones of each."""
    decades = np.log10(runs["learning_rate"].to_numpy(float))
    middle = (decades.min() + decades.max()) / 2
    finite = ~runs["reason"].isin(NON_FINITE)
    margins = bounded_margins(runs["lost"], finite, runs["final_loss"], runs["initial_loss"])
    seen = Runs(target, decades - middle)
    read = None if like is None else readings(like, _named(firsts, factors), middle)
    model = FrontierModel(_places(firsts, factors), seen, margins, Runs.none(), read)
    low, high = intervals(model, seen, margins, CONFIDENCE)
    usual = np.full((3, len(firsts)), [[model.best.usual], [model.best.rise], [model.trust]])
    return model.crossing + middle, low + middle, high + middle, *usual


def _named(firsts: pd.DataFrame, factors: Sequence[dict[str, FactorValue]]) -> list[Named]:
    columns = (firsts["cell"], firsts["strategy"], map(half_of, firsts["threshold_bin"]), factors)
    return [Named(*names) for names in zip(*columns, strict=True)]


def _places(firsts: pd.DataFrame, factors: Sequence[dict[str, FactorValue]]) -> Places:
    """The targets as the model of the frontiers sees them."""
    codes = [pd.factorize(firsts[name])[0] for name in GROUP]
    names = sorted({name for given in factors for name in given})
    codes += [pd.factorize(pd.Series([str(given.get(name)) for given in factors]))[0] for name in names]
    # Thresholds of two strategies share no axis.
    middles = np.log10(firsts["threshold_bin"].to_numpy(float)) + HALF_BIN
    strategy = firsts["strategy"].to_numpy()
    axes = [np.where(strategy == name, middles, np.nan) for name in pd.unique(strategy)]
    return Places(np.stack(codes, 1).astype(np.int64), np.stack(axes, 1))
