"""The setting to use, and what that rests on."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gradstudy.models.strategies import STRATEGIES
from gradstudy.study.statistics import judged, wilson_interval

NEIGHBOURHOOD = 0.5
"""Decades of learning rate and of threshold within which a run speaks for a setting."""


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """A setting and its evidence.

    Attributes:
        number: of the trial that had this setting.
        cell: lstm or gru.
        strategy: clipping strategy.
        threshold: in the strategy's unit; None where it has none.
        learning_rate: of the optimizer.
        validation_loss: of that trial.
        runs: how many runs of this cell and strategy lie within half a decade of learning rate and threshold.
        diverged: how many of them diverged.
        rate_low: lower end of the 95% Wilson interval of their divergence rate.
        rate_high: upper end.
        pytorch: the code to paste.
    """

    number: int
    cell: str
    strategy: str
    threshold: float | None
    learning_rate: float
    validation_loss: float
    runs: int
    diverged: int
    rate_low: float
    rate_high: float
    pytorch: str


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
        learning_rate = np.log10(group["learning_rate"].to_numpy(float))
        # Without a threshold every run of the strategy is as near as can be.
        threshold = np.log10(group["threshold"].fillna(1.0).to_numpy(float))
        diverged = (group["outcome"] == "diverged").to_numpy()
        trained = (group["outcome"] == "trained").to_numpy()
        near = (np.abs(learning_rate[trained, None] - learning_rate) <= NEIGHBOURHOOD) & (
            np.abs(threshold[trained, None] - threshold) <= NEIGHBOURHOOD
        )
        parts.append(group[trained].assign(neighbours=near.sum(1), neighbours_diverged=(near & diverged).sum(1)))
    if not parts:
        return judged(trials).assign(neighbours=0, neighbours_diverged=0)
    return pd.concat(parts)


def recommend(trials: pd.DataFrame) -> Recommendation | None:
    """The trained setting with the lowest validation loss to be expected, a divergence counted as an untrained model.

    With n runs in the neighbourhood, k of which diverged, the next run is expected to diverge with probability
    p = (k + 1) / (n + 2) (Laplace's rule of succession) and to end at (1 - p) * loss + p * initial loss: a better loss
    must make up for a neighbour that diverged, and for evidence that is thin.

    Args:
        trials: rows of ``trial_result``.

    Returns:
        None when no trial trained.
    """
    candidates = neighbourhoods(trials).dropna(subset=["validation_loss"])
    if candidates.empty:
        return None
    runs, diverged = candidates["neighbours"], candidates["neighbours_diverged"]
    rate = (diverged + 1) / (runs + 2)
    expected = (1 - rate) * candidates["validation_loss"] + rate * candidates["initial_validation_loss"]
    best = candidates.iloc[int(expected.to_numpy().argmin())]
    rate_low, rate_high = wilson_interval(int(best["neighbours_diverged"]), int(best["neighbours"]))
    threshold = None if pd.isna(best["threshold"]) else float(best["threshold"])
    rounded = None if threshold is None else float(f"{threshold:.3g}")
    return Recommendation(
        number=int(best["number"]),
        cell=str(best["cell"]),
        strategy=str(best["strategy"]),
        threshold=threshold,
        learning_rate=float(best["learning_rate"]),
        validation_loss=float(best["validation_loss"]),
        runs=int(best["neighbours"]),
        diverged=int(best["neighbours_diverged"]),
        rate_low=rate_low,
        rate_high=rate_high,
        pytorch=STRATEGIES[str(best["strategy"])].pytorch(rounded),
    )
