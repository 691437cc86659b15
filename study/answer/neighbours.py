"""Which runs speak for a setting: those of its cell, strategy and factors nearby."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import KDTree

from gradstudy.study.statistics.grouping import GROUP, group_keys, in_words, setting_of
from gradstudy.study.statistics.rates import judged

NEIGHBOURHOOD = 0.5
"""Decades of learning rate and of threshold within which a run speaks for a setting."""


def settings_of(trials: pd.DataFrame) -> pd.DataFrame:
    """How the runs of each setting fared together.

    Args:
        trials: rows of ``trial_result``.

    Returns:
        One row for each setting that was run, with ``setting`` (its number), ``cell``, ``strategy``, ``threshold``,
        ``threshold_bin``, ``learning_rate``, ``factors`` in words and

        - ``number``: of its first run, one that trained where there is one,
        - ``runs``, ``runs_diverged``, ``trained``: how many,
        - ``validation_loss``: mean of the trained runs; NaN where there are none,
        - ``loss``: the same over all runs, of which a diverged one counts as an untrained model,
        - ``initial_validation_loss``: mean of the untrained models.
    """
    runs = judged(trials)
    diverged, trained = runs["outcome"] == "diverged", runs["outcome"] == "trained"
    untrained, validation_loss = runs["initial_validation_loss"], runs["validation_loss"]
    measured = (
        in_words(runs)
        .assign(
            setting=setting_of(runs),
            diverged=diverged,
            trained=trained,
            trained_loss=validation_loss.where(trained),
            loss=validation_loss.where(~diverged, untrained),
        )
        .sort_values(["trained", "number"], ascending=[False, True])
    )
    return measured.groupby("setting", as_index=False).agg(
        cell=("cell", "first"),
        strategy=("strategy", "first"),
        threshold=("threshold", "first"),
        threshold_bin=("threshold_bin", "first"),
        learning_rate=("learning_rate", "first"),
        factors=("factors", "first"),
        number=("number", "first"),
        runs=("diverged", "size"),
        runs_diverged=("diverged", "sum"),
        trained=("trained", "sum"),
        validation_loss=("trained_loss", "mean"),
        loss=("loss", "mean"),
        initial_validation_loss=("initial_validation_loss", "mean"),
    )


def neighbourhoods(trials: pd.DataFrame) -> pd.DataFrame:
    """How the neighbours of each setting that trained fared.

    Args:
        trials: rows of ``trial_result``.

    Returns:
        The settings with a run that trained, see ``settings_of``, with two more columns: ``neighbours``, the
        observations of the same cell, strategy and factors within ``NEIGHBOURHOOD`` decades of learning rate and
        threshold, and ``neighbours_diverged``. An observation is a run of the setting itself, or another setting, of
        which the rate has diverged: the replicates of a neighbour tell more about the neighbour, not about the setting.
    """
    settings = settings_of(trials)
    parts = []
    for _, group in settings.groupby(group_keys(settings)):
        candidates = group[group["trained"] > 0]
        points, wanted = _points(group), _points(candidates)
        rates = (group["runs_diverged"] / group["runs"]).to_numpy()
        diverged = sum(rate * _near(wanted, points[rates == rate]) for rate in np.unique(rates[rates > 0]))
        own, own_diverged = candidates["runs"], candidates["runs_diverged"]
        parts.append(
            candidates.assign(
                neighbours=_near(wanted, points) - 1 + own,
                neighbours_diverged=diverged - own_diverged / own + own_diverged,
            )
        )
    if not parts:
        return settings.assign(neighbours=0, neighbours_diverged=0.0)
    return pd.concat(parts)


def neighbours_of(trials: pd.DataFrame, setting: "pd.Series[Any]") -> pd.DataFrame:
    """The judged trials in the neighbourhood of one row of ``settings_of``, with ``factors`` in words."""
    group = in_words(judged(trials))
    for key in (*GROUP, "factors"):
        group = group[group[key] == setting[key]]
    away = np.abs(_points(group) - _points(setting.to_frame().T))
    return group.iloc[np.flatnonzero((away <= NEIGHBOURHOOD).all(1))]


def _points(trials: pd.DataFrame) -> NDArray[np.float64]:
    """Decades of learning rate and threshold, [trials, 2]; without a threshold all are as near as can be."""
    setting = trials[["learning_rate", "threshold"]].astype(float).fillna(1.0)
    decades: NDArray[np.float64] = np.log10(setting.to_numpy())
    return decades


def _near(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of the others lie in each point's neighbourhood."""
    if not len(others) or not len(points):
        return np.zeros(len(points), np.int64)
    # A tree, not a table of all pairs: that is a gigabyte for ten thousand runs.
    counts = KDTree(others).query_ball_point(points, NEIGHBOURHOOD, p=np.inf, return_length=True)
    return np.asarray(counts, np.int64)
