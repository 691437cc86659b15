"""Gradient norms before clipping, and the threshold that they suggest."""

import pandas as pd

from gradstudy.study.statistics.grouping import group_keys, in_words

QUANTILES = {"grad_norm_p50": "median", "grad_norm_p90": "p90", "grad_norm_max": "largest"}


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

    It is the 90th percentile of the norms of a run that trains, the median over such runs: of those without clipping,
    where there are any, because clipping changes where training goes; else of all.

    Source: Deep Learning Tuning Playbook, "How should I use gradient clipping".

    Args:
        trials: rows of ``trial_result``.

    Returns:
        ``cell``, ``factors`` in words where any are varied, ``threshold``, ``runs`` and ``without_clipping``.
    """
    keys = [key for key in group_keys(trials) if key != "strategy"]
    rows = []
    for group, of_group in in_words(_trained(trials)).groupby(keys):
        unclipped = of_group[of_group["strategy"] == "none"]
        basis = of_group if unclipped.empty else unclipped
        rows.append((*group, basis["grad_norm_p90"].median(), len(basis), not unclipped.empty))
    return pd.DataFrame(rows, columns=[*keys, "threshold", "runs", "without_clipping"])


def _trained(trials: pd.DataFrame) -> pd.DataFrame:
    return trials[trials["outcome"] == "trained"].dropna(subset=["grad_norm_p90"])
