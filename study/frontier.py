"""The frontier: the largest learning rate at which the probability of divergence stays below 10%.

Within a cell and strategy (and one value of each factor that is varied), P(diverged) rises as a logistic curve with the
decades of the learning rate, with one slope for all thresholds and an edge of its own for each half-decade of
threshold. Neighbouring thresholds have neighbouring edges (a random-walk prior, as in P-splines: Eilers and Marx 1996),
so bins with few runs learn from those beside them; a weak log-normal prior keeps the slope finite when kept and
diverged runs do not overlap. Where there are dozens of runs in a bin the priors hardly show. The curve runs from 1% to
99%, because one run far from the edge that ends on the wrong side would otherwise turn all of it (a lapse rate, as in
psychometric functions: Wichmann and Hill 2001).

The interval is a bootstrap: the settings are drawn again, each with all its runs, and their outcomes from the fit,
because drawing the observed outcomes again repeats a separation that was luck. Its median also corrects the estimate
for the bias of small samples (Efron and Tibshirani 1993, chapter 10).
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from gradstudy.study.settings import group_keys, in_words, setting_of
from gradstudy.study.statistics import CONFIDENCE, judged

Floats = NDArray[np.float64]

ACCEPTED_RISK = 0.1
"""P(diverged) at the frontier."""
FEWEST_SETTINGS = 8
"""Settings of a cell and strategy below which nothing is fitted."""
RESAMPLES = 100
USUAL_SLOPE = 8.0
"""Per decade, the middle of the slope's prior: 10% to 90% within half a decade."""
SLOPE_SD = 1.0
"""Of the slope's logarithm: give or take a factor of e."""
EDGE_SD = 3.0
"""Of the change of log odds from one half-decade of threshold to the next: almost half a decade of learning rate."""
INTERCEPT_SD = 30.0
"""Of the log odds at the middle of the range, so wide that it only keeps them finite."""
LAPSE = 0.01
"""P(diverged) far below the edge, and P(kept) far above it."""
SCORING_STEPS = 50
LONGEST_STEP, LONGEST_SLOPE_STEP = 4.0, 0.5
"""Of one scoring step, in log odds and in the slope's logarithm: longer ones overshoot when the data separate."""
CONVERGED = 1e-3
"""Longest step of the last scoring step, as a share of the longest that is allowed."""

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
        One row for each bin that has runs, with ``cell``, ``strategy``, ``factors`` in words where any are varied,
        ``threshold_bin`` (NaN without threshold),
        ``runs``, ``diverged``, the lowest and the highest learning rate tried, and

        - ``frontier``, ``frontier_low``, ``frontier_high``: the learning rate with its 95% interval; NaN where it lies
          outside of what was tried,
        - ``status``: ``bracketed``; ``not bracketed above`` (no more than 10% risk at the highest learning rate tried);
          ``not bracketed below`` (more than that at the lowest); ``too few runs``.
    """
    runs = in_words(judged(trials).dropna(subset=["learning_rate"]))
    keys = group_keys(runs)
    bins = (
        runs.assign(lost=runs["outcome"] == "diverged")
        .groupby([*keys, "threshold_bin"], dropna=False, as_index=False)
        .agg(
            runs=("lost", "size"),
            diverged=("lost", "sum"),
            lowest_learning_rate=("learning_rate", "min"),
            highest_learning_rate=("learning_rate", "max"),
        )
    )
    rows_of = bins.groupby(keys).groups
    parts = [_with_frontier(bins.loc[rows_of[key]], group) for key, group in runs.groupby(keys)]
    if not parts:
        return pd.DataFrame(columns=COLUMNS).astype({"frontier": float, "threshold_bin": float})
    return pd.concat(parts, ignore_index=True)


def _with_frontier(bins: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The bins of one cell and strategy with their frontiers."""
    if setting_of(runs).nunique() < FEWEST_SETTINGS:
        return bins.assign(frontier=np.nan, frontier_low=np.nan, frontier_high=np.nan, status=TOO_FEW)
    lost = (runs["outcome"] == "diverged").to_numpy().astype(float)
    edge, low, high = _edges(runs, lost, bins["threshold_bin"].to_numpy(float))
    # What the cell and strategy tried brackets all its thresholds: a bin alone has seen a few learning rates.
    lowest, highest = np.log10(runs["learning_rate"].min()), np.log10(runs["learning_rate"].max())
    inside = (edge >= lowest) & (edge <= highest)
    return bins.assign(
        frontier=10 ** np.where(inside, edge, np.nan),
        frontier_low=10 ** np.where((low >= lowest) & (low <= highest), low, np.nan),
        frontier_high=10 ** np.where((high >= lowest) & (high <= highest), high, np.nan),
        status=np.select([inside, edge > highest], [BRACKETED, ABOVE], BELOW),
    )


def _edges(group: pd.DataFrame, lost: Floats, bins: Floats) -> tuple[Floats, Floats, Floats]:
    """The frontiers [bins] in log10 learning rate, with the ends of their intervals."""
    decades = np.log10(group["learning_rate"].to_numpy(float))
    middle = (decades.min() + decades.max()) / 2
    bin_of_run = np.searchsorted(bins, group["threshold_bin"].to_numpy(float)) if len(bins) > 1 else 0
    design = np.zeros((len(group), len(bins) + 1))
    design[np.arange(len(group)), bin_of_run] = 1.0
    design[:, -1] = decades - middle
    prior = _prior_precision(bins)

    ones = np.ones((1, len(group)))
    start = np.append(np.zeros(len(bins)), np.log(USUAL_SLOPE))[None]
    fitted = _fit(design, lost[None], ones, prior, start)
    random = np.random.default_rng(0)  # the same report each time
    setting = setting_of(group).to_numpy()
    settings = int(setting.max()) + 1
    drawn = random.multinomial(settings, np.full(settings, 1 / settings), RESAMPLES).astype(float)[:, setting]
    outcomes = (random.random(drawn.shape) < _risk(_linear(fitted) @ design.T)).astype(float)
    resampled = _fit(design, outcomes, drawn, prior, np.repeat(fitted, RESAMPLES, 0))

    edge, edges = _crossing(fitted)[0], _crossing(resampled)
    tail = (1 - CONFIDENCE) / 2
    low, median, high = np.quantile(edges, [tail, 0.5, 1 - tail], axis=0)
    return 2 * edge - median + middle, low + middle, high + middle


def _prior_precision(bins: Floats) -> Floats:
    """Precision [bins + 1, bins + 1] of the prior of the bins' log odds and of the slope's logarithm."""
    precision = np.diag([INTERCEPT_SD**-2.0] * len(bins) + [SLOPE_SD**-2.0])
    half_decades = np.diff(2 * np.log10(bins))
    for left, gap in enumerate(half_decades):
        pair = np.ix_([left, left + 1], [left, left + 1])
        precision[pair] += np.array([[1.0, -1.0], [-1.0, 1.0]]) / (EDGE_SD**2 * gap)
    return precision


def _risk(log_odds: Floats) -> Floats:
    return LAPSE + (1 - 2 * LAPSE) * expit(log_odds)


def _linear(parameters: Floats) -> Floats:
    """The parameters with the slope itself: it is fitted as its logarithm, so that it cannot fall."""
    return np.hstack([parameters[:, :-1], np.exp(parameters[:, -1:])])


def _fit(design: Floats, outcome: Floats, weight: Floats, precision: Floats, start: Floats) -> Floats:
    """Penalised regressions [fits, parameters] by Fisher's scoring; outcome and weight are [fits, runs]."""
    parameters, size = start.copy(), design.shape[1]
    mean = np.append(np.zeros(size - 1), np.log(USUAL_SLOPE))
    limit = np.append(np.full(size - 1, LONGEST_STEP), LONGEST_SLOPE_STEP)
    squares = (design[:, :, None] * design[:, None, :]).reshape(len(design), size * size)
    for _ in range(SCORING_STEPS):
        linear = _linear(parameters)
        chain = np.hstack([np.ones_like(linear[:, :-1]), linear[:, -1:]])
        risk = _risk(linear @ design.T)
        slope = (risk - LAPSE) * (1 - LAPSE - risk) / (1 - 2 * LAPSE)
        score = weight * slope / (risk * (1 - risk))
        gradient = chain * ((score * (outcome - risk)) @ design) - (parameters - mean) @ precision
        information = ((score * slope) @ squares).reshape(-1, size, size)
        curvature = chain[:, :, None] * information * chain[:, None, :] + precision
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        longest = np.abs(step / limit).max(1, keepdims=True)
        parameters += step / np.maximum(longest, 1)
        if longest.max() < CONVERGED:
            break
    return parameters


def _crossing(parameters: Floats) -> Floats:
    """Where the risk reaches 10%, [fits, bins], in decades from the middle of the learning rates."""
    linear = _linear(parameters)
    return (logit((ACCEPTED_RISK - LAPSE) / (1 - 2 * LAPSE)) - linear[:, :-1]) / linear[:, -1:]
