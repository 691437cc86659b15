"""Why runs diverge: risks that compete, as a run that ends by one of them cannot end by another."""

from typing import Any

import numpy as np
import pandas as pd

from gradstudy.study.frontier.places import Ints

CAUSES = ("blow_up", "collapse", "no_recovery")
"""The loss blew up or was not finite; what had been learned was lost; the loss had not come back yet at the end."""
BLOW_UP, COLLAPSE, NO_RECOVERY = range(len(CAUSES))
NONE = -1
_STOPS = ("blow_up", "non_finite_loss", "non_finite_gradient")


def causes_of(runs: pd.DataFrame) -> Ints:
    """The place in ``CAUSES`` [n] of what each run diverged by; ``NONE`` of those that did not.

    Args:
        runs: with ``outcome``, ``reason`` and ``diverged_at_step``. Where no reason is known, a run that was stopped
            blew up, and another one had not recovered.
    """
    reasons: pd.Series[Any] = runs["reason"] if "reason" in runs else pd.Series(None, runs.index, dtype="object")
    stopped = reasons.isin(_STOPS) | (~reasons.isin(CAUSES) & runs["diverged_at_step"].notna())
    found = np.select([stopped, reasons == "collapse"], [BLOW_UP, COLLAPSE], NO_RECOVERY)
    return np.asarray(np.where(runs["outcome"] == "diverged", found, NONE), np.int64)
