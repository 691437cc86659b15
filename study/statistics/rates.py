"""Divergence rates with their intervals, from the frame of ``trial_result`` rows to frames."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from gradstudy.study.spec.factors import shown
from gradstudy.study.spec.optimizer.searched import in_words as hyperparameter_in_words
from gradstudy.study.statistics.grouping import all_values, in_words, searched_values, setting_of

CONFIDENCE = 0.95
AGGRESSIVE_CLIPPING = 0.5
"""Share of clipped updates above which the Deep Learning Tuning Playbook lowers the learning rate instead."""
PARTS = 4
"""Into how many parts of equally many runs what is searched on a range is cut."""
ALWAYS_CHANGING = ("normalize", "standardize", "spectral", "stable_spam")
"""Strategies that change every update by their rule: a share of 100% says nothing about them."""


def wilson_interval(diverged: float, runs: float) -> tuple[float, float]:
    """The 95% interval of a divergence rate, (low, high); (0, 1) when there are no runs.

    Where settings have replicates, a setting counts as one run, and its rate as that fraction of a divergence.

    Source: Wilson 1927. ``scipy.stats`` has it too, but takes longer to import than a report to make.
    """
    if runs == 0:
        return 0.0, 1.0
    z, rate = float(ndtri((1 + CONFIDENCE) / 2)), diverged / runs
    middle = (rate + z**2 / (2 * runs)) / (1 + z**2 / runs)
    half = z / (1 + z**2 / runs) * math.sqrt(rate * (1 - rate) / runs + z**2 / (4 * runs**2))
    # At the ends rounding would leave what is exactly 0 or 1.
    return (0.0 if diverged == 0 else middle - half), (1.0 if diverged == runs else middle + half)


def rate_difference(diverged_a: float, runs_a: float, diverged_b: float, runs_b: float) -> tuple[float, float, float]:
    """The rate of B less that of A with its 95% interval, (difference, low, high).

    Source: Newcombe 1998, Statistics in Medicine 17:873, method 10, from the two Wilson intervals.
    """
    known_a, known_b = ((k / n, *wilson_interval(k, n)) for k, n in ((diverged_a, runs_a), (diverged_b, runs_b)))
    low, high = newcombe_interval(np.array(known_a), np.array(known_b))
    return known_b[0] - known_a[0], float(low), float(high)


def newcombe_interval(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ends of the interval of the rate of B less that of A, each given as rate, low and high in the first axis."""
    (rate_a, low_a, high_a), (rate_b, low_b, high_b) = a, b
    less = rate_b - rate_a
    return less - np.hypot(rate_b - low_b, high_a - rate_a), less + np.hypot(high_b - rate_b, rate_a - low_a)


def judged(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that say something about divergence: they trained, stalled or diverged."""
    return trials[trials["outcome"].isin(["trained", "stalled", "diverged"])]


def divergence_by(trials: pd.DataFrame, by: Sequence[str], *, of_a_grid: bool = False) -> pd.DataFrame:
    """Divergence of each group of trials.

    Args:
        trials: rows of ``trial_result``.
        by: columns to group by, ``factors`` in words; missing values form a group of their own.
        of_a_grid: whether there are no other settings than these, so that each run counts.

    Returns:
        One row for each group, with the columns ``by`` and

        - ``settings``: how many different ones were run,
        - ``runs``, ``diverged``, ``rate``, ``rate_low``, ``rate_high``: the mean rate of the settings with its 95%
          Wilson interval, for which a setting counts once, however many runs it had,
        - ``largest_kept_learning_rate``: the largest that a run survived; NaN when none did,
        - ``smallest_diverged_learning_rate``: the smallest that a run diverged at; NaN when none did,
        - ``best_validation_loss``: of a setting, the mean of its trained runs; NaN when none trained,
        - ``clipped_fraction``: mean share of the updates that the strategy changed.
    """
    runs = judged(trials)
    diverged = runs["outcome"] == "diverged"
    measured = runs.assign(
        setting=setting_of(runs),
        diverged=diverged,
        kept_learning_rate=runs["learning_rate"].where(~diverged),
        diverged_learning_rate=runs["learning_rate"].where(diverged),
        trained_loss=runs["validation_loss"].where(runs["outcome"] == "trained"),
    )
    if "factors" in by:
        measured = in_words(measured)
    settings = measured.groupby([*by, "setting"], dropna=False, as_index=False).agg(
        runs=("diverged", "size"),
        diverged=("diverged", "sum"),
        rate=("diverged", "mean"),
        largest_kept_learning_rate=("kept_learning_rate", "max"),
        smallest_diverged_learning_rate=("diverged_learning_rate", "min"),
        best_validation_loss=("trained_loss", "mean"),
        clipped_fraction=("clipped_fraction", "mean"),
    )
    table = settings.groupby(list(by), dropna=False, as_index=False, sort=True).agg(
        settings=("runs", "size"),
        runs=("runs", "sum"),
        diverged=("diverged", "sum"),
        rate=("rate", "sum"),
        largest_kept_learning_rate=("largest_kept_learning_rate", "max"),
        smallest_diverged_learning_rate=("smallest_diverged_learning_rate", "min"),
        best_validation_loss=("best_validation_loss", "min"),
        clipped_fraction=("clipped_fraction", "mean"),
    )
    table["rate"] /= table["settings"]
    count = table["runs" if of_a_grid else "settings"]
    intervals = [wilson_interval(rate * n, n) for rate, n in zip(table["rate"], count, strict=True)]
    position = len(by) + 4
    table.insert(position, "rate_low", [low for low, _ in intervals])
    table.insert(position + 1, "rate_high", [high for _, high in intervals])
    return table


def divergence_by_factor(trials: pd.DataFrame, *, of_a_grid: bool = False) -> pd.DataFrame:
    """Divergence at each value of each factor that is varied, over everything else.

    What is searched on a range is cut into ``PARTS``, as soon as two different values have ended.

    Args:
        trials: rows of ``trial_result``.
        of_a_grid: see ``divergence_by``.

    Returns:
        ``factor``, ``value`` and the columns of ``divergence_by``, but for losses: those of different values are often
        of different data or units. Empty where nothing is varied.
    """
    runs = judged(trials)
    ranges = {name for searched in searched_values(runs) for name in searched}
    values = pd.DataFrame(all_values(runs), runs.index)
    parts = []
    for name in map(str, values):
        known = values[name].dropna()
        if name in ranges and known.nunique() < 2:  # there is nothing to cut yet
            continue
        known, words = _parts(name, known) if name in ranges else (known, shown)
        table = divergence_by(runs.loc[known.index].assign(value=known), ["value"], of_a_grid=of_a_grid)
        table = table.drop(columns="best_validation_loss")
        table["value"] = table["value"].map(words).astype("str")
        parts.append(table.assign(factor=name)[["factor", *table.columns]])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _parts(name: str, values: pd.Series) -> tuple[pd.Series, Mapping[int, str]]:
    """The part of each value, by number, and each part in words."""
    parts, edges = pd.qcut(values, PARTS, labels=False, retbins=True, duplicates="drop")
    words = [hyperparameter_in_words(name, float(edge)) for edge in edges]
    return parts, {place: f"{low} to {high}" for place, (low, high) in enumerate(pairwise(words))}


def mostly_clipped(table: pd.DataFrame) -> pd.Series:
    """Which rows of a table with ``strategy`` and ``clipped_fraction`` clip more than half of their updates.

    The Deep Learning Tuning Playbook calls that extremely aggressive: rather lower the learning rate. Strategies that
    change every update by their rule are left out.
    """
    return (table["clipped_fraction"] > AGGRESSIVE_CLIPPING) & ~table["strategy"].isin(ALWAYS_CHANGING)
