"""What Optuna is told of a trial that has ended, beside its objective."""

from gradstudy.storage.json_values import json_value
from gradstudy.storage.optuna_internals import constraint_attributes
from gradstudy.storage.recorder import OptunaAttributes
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.study.frontier.margins import NON_FINITE, bounded_margins
from gradstudy.study.search.space import CONSTRAINT

SHOWN = (
    "outcome",
    "reason",
    "error",
    "diverged_at_step",
    "final_loss",
    "initial_validation_loss",
    "validation_loss",
    "grad_norm_p50",
    "grad_norm_p90",
    "grad_norm_max",
    "clipped_fraction",
    "seconds",
)
"""The columns of a result that Optuna's user attributes carry, so that optuna-dashboard shows them."""

METRIC = "metric_"
"""Begins the name of a user attribute that holds what was measured beside the loss."""


def bounded_margin(result: TrialResult) -> float:
    """ln(s_T / l0) as it is told to Optuna, see ``bounded_margins``."""
    diverged, finite = result.outcome is Outcome.DIVERGED, result.reason not in NON_FINITE
    return float(bounded_margins(diverged, finite, json_value(result.final_loss), json_value(result.initial_loss)))


def attributes(result: TrialResult) -> OptunaAttributes:
    """What Optuna keeps of a trial with this result, beside its objective."""
    columns = result.columns()
    measured = {METRIC + name: value for name, value in (columns["metrics"] or {}).items()}
    shown = measured | {name: columns[name] for name in SHOWN}
    return OptunaAttributes(
        user={name: value for name, value in shown.items() if value is not None},
        system=constraint_attributes(CONSTRAINT, bounded_margin(result)),
    )
