"""Which runs speak for a setting: those of its cell and strategy nearby."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import KDTree

from gradstudy.study.statistics import judged

NEIGHBOURHOOD = 0.5
"""Decades of learning rate and of threshold within which a run speaks for a setting."""


def neighbourhoods(trials: pd.DataFrame) -> pd.DataFrame:
    """How the neighbours of each trained trial fared.

    Args:
        trials: rows of ``trial_result``.

    Returns:
        The trained trials with two more columns: ``neighbours``, the runs of the same cell and strategy within
        ``NEIGHBOURHOOD`` decades of learning rate and threshold (the trial itself is one), and
        ``neighbours_diverged``.
    """
    parts = []
    for _, group in judged(trials).groupby(["cell", "strategy"]):
        trained = (group["outcome"] == "trained").to_numpy()
        points = _points(group)
        parts.append(
            group[trained].assign(
                neighbours=_near(points[trained], points),
                neighbours_diverged=_near(points[trained], points[(group["outcome"] == "diverged").to_numpy()]),
            )
        )
    if not parts:
        return judged(trials).assign(neighbours=0, neighbours_diverged=0)
    return pd.concat(parts)


def neighbours_of(trials: pd.DataFrame, setting: "pd.Series[Any]") -> pd.DataFrame:
    """The judged trials in the neighbourhood of one row of ``trial_result``."""
    group = judged(trials)
    group = group[(group["cell"] == setting["cell"]) & (group["strategy"] == setting["strategy"])]
    away = np.abs(_points(group) - _points(setting.to_frame().T))
    near: pd.DataFrame = group.loc[(away <= NEIGHBOURHOOD).all(1)]
    return near


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
