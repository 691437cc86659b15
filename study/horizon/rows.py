"""Rows of ``trial_result``, and settings, as the models of longer training take them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gradstudy.study.answer.confirmation_plan import Chosen
from gradstudy.study.answer.recommendation import or_none, written
from gradstudy.study.spec.factors import described
from gradstudy.study.statistics.grouping import SETTING, all_values

KEYS = [*SETTING, "factors"]


def runs_to_predict(trials: pd.DataFrame, spec: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of ``trial_result`` as ``predict`` takes them, with the ``values`` of factors and a ``key`` for a setting.

    Thresholds and learning rates are those that are written, as longer runs have them.
    """
    trials = trials.dropna(subset=["learning_rate"])
    values = all_values(trials)
    given = zip(trials["strategy"], trials["threshold"], trials["learning_rate"], strict=True)
    rounded = [written(strategy, or_none(threshold), rate, spec["space"]) for strategy, threshold, rate in given]
    runs = pd.DataFrame(
        {
            "cell": trials["cell"].to_numpy(),
            "strategy": trials["strategy"].to_numpy(),
            "threshold": [threshold for threshold, _ in rounded],
            "learning_rate": [rate for _, rate in rounded],
            "factors": [described(each) for each in values],
            "values": values,
            "steps": trials["horizon"].astype(int).to_numpy(),
            "untrained": trials["initial_validation_loss"].to_numpy(),
        }
    ).astype({"threshold": float})
    for name in ("number", "seed", "outcome", "reason", "objective", "diverged_at_step"):
        runs[name] = trials[name].to_numpy()
    return runs.assign(key=[key_of(row) for row in runs.to_dict("records")])


def key_of(row: Mapping[Any, Any]) -> str:
    """What tells a setting from others."""
    return str([None if row[name] != row[name] else row[name] for name in KEYS])


def settings_to_predict(chosen: Sequence[Chosen]) -> pd.DataFrame:
    """Settings as rows with ``KEYS``, in their order."""
    rows = [vars(setting) | {"factors": described(setting.factors)} for setting in chosen]
    return pd.DataFrame(rows)[KEYS].astype({"threshold": float})
