"""Telling Optuna how a trial ended."""

from contextlib import suppress

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import TrialState

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


def tell(storage: BaseStorage, trial_id: int, result: TrialResult) -> None:
    """Tell Optuna a trial's objective; its attributes and its constraint were written with the result.

    A trial that was told already stays as it is: a worker that puts right what a dead one left may meet another.
    ``Study.tell`` would read the trial twice, for what is known here.
    """
    with suppress(UpdateFinishedTrialError):
        storage.set_trial_state_values(trial_id, *_state_and_values(storage, trial_id, result))


def _state_and_values(
    storage: BaseStorage, trial_id: int, result: TrialResult
) -> tuple[TrialState, list[float] | None]:
    """As ``Study.tell`` has them; the value of a pruned trial is what was reported last."""
    if result.outcome is Outcome.PRUNED:
        trial = storage.get_trial(trial_id)
        last = trial.last_step
        return TrialState.PRUNED, None if last is None else [trial.intermediate_values[last]]
    objective = result.columns()["objective"]
    return (TrialState.FAIL, None) if objective is None else (TrialState.COMPLETE, [objective])


def bounded_margin(result: TrialResult) -> float:
    """ln(s_T / l0) as it is told to Optuna, see ``bounded_margins``."""
    columns = result.columns()
    diverged, finite = result.outcome is Outcome.DIVERGED, result.reason not in NON_FINITE
    return float(bounded_margins(diverged, finite, columns["final_loss"], columns["initial_loss"]))


def attributes(result: TrialResult) -> OptunaAttributes:
    """What Optuna keeps of a trial with this result, beside its objective."""
    columns = result.columns()
    measured = {METRIC + name: value for name, value in (columns["metrics"] or {}).items()}
    shown = measured | {name: columns[name] for name in SHOWN}
    return OptunaAttributes(
        user={name: value for name, value in shown.items() if value is not None},
        system=constraint_attributes(CONSTRAINT, bounded_margin(result)),
    )
