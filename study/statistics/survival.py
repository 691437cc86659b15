"""Time to divergence: the share of runs that have not diverged, by step."""

import warnings
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy.stats import CensoredData, ecdf

from gradstudy.study.statistics.rates import CONFIDENCE

COLUMNS = ["step", "at_risk", "diverged", "surviving", "surviving_low", "surviving_high"]


def survival(trials: pd.DataFrame, by: Sequence[str] = ("cell", "strategy")) -> pd.DataFrame:
    """The survival curve of each group of trials, over training steps.

    A run that diverged is an event after the steps that it made, one that was only found worse than untrained at the
    end is an event at its end. All others are censored after the steps that they made: trained, stalled and pruned
    runs, and those that still run or were cut off by a failure of the machine.

    Source: Kaplan and Meier 1958, with the log-log interval of Greenwood's variance, as ``scipy.stats.ecdf``.

    Args:
        trials: rows of ``trial_result``.
        by: columns to group by.

    Returns:
        One row for each step at which runs of a group diverged: ``by``, ``step`` (how many were made), ``at_risk``
        (runs that had not ended before), ``diverged``, ``surviving``, ``surviving_low`` and ``surviving_high`` (NaN
        where the variance says nothing). A group of which no run diverged has one row, at its longest run.
    """
    diverged = trials["outcome"] == "diverged"
    steps = trials["steps"].where(~diverged, trials["diverged_at_step"].add(1).fillna(trials["steps"]))
    watched = trials.assign(steps=steps.astype(float), event=diverged)
    watched = watched[watched["steps"] > 0].dropna(subset=list(by))
    parts = []
    for key, group in watched.groupby(list(by), sort=True):
        curve = _curve(group)
        for position, (name, value) in enumerate(zip(by, key, strict=True)):
            curve.insert(position, name, str(value))
        parts.append(curve)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*by, *COLUMNS])


def _curve(group: pd.DataFrame) -> pd.DataFrame:
    steps, event = group["steps"].to_numpy(), group["event"].to_numpy()
    if not event.any():
        longest = int(steps.max())
        alone = [longest, int((steps >= longest).sum()), 0, 1.0, np.nan, np.nan]
        return pd.DataFrame([alone], columns=COLUMNS)
    curve = ecdf(CensoredData(uncensored=steps[event], right=steps[~event])).sf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where everything or nothing has diverged
        # The stubs take both ends for numbers; they are curves.
        low, high = (cast("Any", end) for end in curve.confidence_interval(CONFIDENCE, method="log-log"))
    happened, counts = np.unique(steps[event], return_counts=True)
    at = np.searchsorted(curve.quantiles, happened)
    return pd.DataFrame(
        {
            "step": happened.astype(int),
            "at_risk": (steps[:, None] >= happened).sum(0),
            "diverged": counts,
            "surviving": curve.probabilities[at],
            "surviving_low": low.probabilities[at],
            "surviving_high": high.probabilities[at],
        }
    )
