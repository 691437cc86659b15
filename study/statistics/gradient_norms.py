"""Gradient norms before clipping, and the threshold that they suggest."""

import numpy as np
import pandas as pd

from gradstudy.study.statistics.grouping import group_keys, in_words

QUANTILES = {"grad_norm_p50": "median", "grad_norm_p90": "p90", "grad_norm_max": "largest"}
NEAR_DECADES = 0.5
"""Of learning rate, within which a run is near the best one."""
ABOUT = 1.0
"""Factors of two within which a run uses about a threshold."""


def gradient_norms(trials: pd.DataFrame) -> pd.DataFrame:
    """The norms that the trained runs of each cell and strategy met, and of each value of the factors.

    Args:
        trials: rows of ``trial_result``.

    Returns:
        ``cell``, ``strategy``, ``factors`` in words where any are varied, ``runs``, and the medians over these runs of
        the ``median``, the ``p90`` and the ``largest`` of a run's norms.
    """
    trained = in_words(_trained(trials))
    return trained.groupby(group_keys(trials), as_index=False).agg(
        runs=("grad_norm_p90", "size"), **{short: (name, "median") for name, short in QUANTILES.items()}
    )


def suggested_thresholds(trials: pd.DataFrame) -> pd.DataFrame:
    """The threshold to try first with clipping by norm, for each cell and value of the factors.

    It is the 90th percentile of the norms of a run that trains, the median over such runs near the best learning rate:
    of those without clipping, where there are any, because clipping changes where training goes; else of all. The best
    learning rate is that of the run which clipped by norm, or not at all, and ended lowest.

    Source: Deep Learning Tuning Playbook, "How should I use gradient clipping".

    Args:
        trials: rows of ``trial_result``.

    Returns:
        ``cell``, ``factors`` in words where any are varied, ``threshold``, ``runs``, ``without_clipping``, and how the
        runs fared that used about this threshold near the best learning rate: ``checked_by``, how many there are, and
        ``clipped_fraction``, the share of their updates that was clipped; NaN without any.
    """
    keys = [key for key in group_keys(trials) if key != "strategy"]
    rows = []
    for group, of_group in in_words(_trained(trials)).groupby(keys):
        candidates = of_group[of_group["strategy"].isin(["none", "norm"])]
        lowest = candidates.sort_values("validation_loss")["learning_rate"].head(1)
        near = of_group
        if len(lowest):
            near = of_group[np.abs(np.log10(of_group["learning_rate"] / lowest.iloc[0])) <= NEAR_DECADES]
        unclipped = near[near["strategy"] == "none"]
        basis = near if unclipped.empty else unclipped
        threshold = basis["grad_norm_p90"].median()
        users = near[(near["strategy"] == "norm") & (np.abs(np.log2(near["threshold"] / threshold)) <= ABOUT)]
        checks = len(users), users["clipped_fraction"].mean()
        rows.append((*group, threshold, len(basis), not unclipped.empty, *checks))
    return pd.DataFrame(
        rows, columns=[*keys, "threshold", "runs", "without_clipping", "checked_by", "clipped_fraction"]
    )


def _trained(trials: pd.DataFrame) -> pd.DataFrame:
    return trials[trials["outcome"] == "trained"].dropna(subset=["grad_norm_p90"])
