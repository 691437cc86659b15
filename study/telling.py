"""Telling Optuna how a trial ended."""

from contextlib import suppress
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from gradstudy.storage.outcomes import Outcome
from gradstudy.storage.results import TrialResult
from gradstudy.study.divergence import log_ratio

CONSTRAINT = "divergence"
"""The key of the constraint ln(s_T / l0)."""
MARGIN_BOUND = 10.0
"""Largest absolute margin ln(s_T / l0) that is told to Optuna: a factor of 22,000."""
SMALLEST_VIOLATION = 1e-9
"""Margin of a run that diverged by less than floating point shows: Optuna counts 0 as feasible."""
SHOWN = (
    "outcome",
    "reason",
    "diverged_at_step",
    "final_loss",
    "validation_loss",
    "grad_norm_p50",
    "grad_norm_p90",
    "grad_norm_max",
    "clipped_fraction",
    "seconds",
)
"""The columns of a result that Optuna's user attributes carry, so that optuna-dashboard shows them."""


def tell(study: optuna.Study, trial: optuna.Trial, result: TrialResult) -> None:
    """Tell Optuna a trial's objective and constraint; its user attributes were written with the result.

    A trial that was told already stays as it is: a worker that puts right what a dead one left may meet another.
    """
    objective = result.columns()["objective"]
    with suppress(UpdateFinishedTrialError):
        # It waits, as Optuna sees it, where the one who gave it back was slower than the one who took it.
        trial.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        if CONSTRAINT not in trial.constraints:
            trial.set_constraint(CONSTRAINT, bounded_margin(result))
        study.tell(trial, objective, _state(result), skip_if_finished=True)


def _state(result: TrialResult) -> TrialState:
    """Optuna's state; it takes the value of a pruned trial from what was reported last."""
    if result.outcome is Outcome.PRUNED:
        return TrialState.PRUNED
    return TrialState.FAIL if result.columns()["objective"] is None else TrialState.COMPLETE


def bounded_margin(result: TrialResult) -> float:
    """ln(s_T / l0) as it is told to Optuna: finite, and positive exactly when the trial diverged."""
    columns = result.columns()
    final, initial = columns["final_loss"], columns["initial_loss"]
    margin = MARGIN_BOUND
    if final is not None and initial is not None and result.reason not in ("non_finite_loss", "non_finite_gradient"):
        margin = log_ratio(final, initial)
    if result.outcome is not Outcome.DIVERGED:
        return min(max(margin, -MARGIN_BOUND), 0.0)
    return min(max(margin, SMALLEST_VIOLATION), MARGIN_BOUND)


def shown(result: TrialResult) -> dict[str, Any]:
    """The user attributes of a trial with this result."""
    columns = result.columns()
    return {name: columns[name] for name in SHOWN if columns[name] is not None}
