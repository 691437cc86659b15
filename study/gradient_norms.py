"""Gradient norms before clipping, and the threshold that they suggest."""

import pandas as pd

QUANTILES = {"grad_norm_p50": "median", "grad_norm_p90": "p90", "grad_norm_max": "largest"}


def gradient_norms(trials: pd.DataFrame) -> pd.DataFrame:
    """The norms that the trained runs of each cell and strategy met.

    Args:
        trials: rows of ``trial_result``.

    Returns:
        ``cell``, ``strategy``, ``runs``, and the medians over these runs of the ``median``, the ``p90`` and the
        ``largest`` of a run's norms.
    """
    trained = trials[trials["outcome"] == "trained"].dropna(subset=["grad_norm_p90"])
    return trained.groupby(["cell", "strategy"], as_index=False).agg(
        runs=("grad_norm_p90", "size"), **{short: (name, "median") for name, short in QUANTILES.items()}
    )


def suggested_thresholds(trials: pd.DataFrame) -> pd.DataFrame:
    """The threshold to try first with clipping by norm, for each cell.

    It is the 90th percentile of the norms of a run that trains, the median over such runs: of those without clipping,
    where there are any, because clipping changes where training goes; else of all.

    Source: Deep Learning Tuning Playbook, "How should I use gradient clipping".

    Args:
        trials: rows of ``trial_result``.

    Returns:
        ``cell``, ``threshold``, ``runs`` and ``without_clipping``.
    """
    norms = gradient_norms(trials)
    rows = []
    for cell in sorted(norms["cell"].unique()):
        of_cell = trials[(trials["cell"] == cell) & (trials["outcome"] == "trained")].dropna(subset=["grad_norm_p90"])
        unclipped = of_cell[of_cell["strategy"] == "none"]
        basis = of_cell if unclipped.empty else unclipped
        rows.append((cell, basis["grad_norm_p90"].median(), len(basis), not unclipped.empty))
    return pd.DataFrame(rows, columns=["cell", "threshold", "runs", "without_clipping"])
