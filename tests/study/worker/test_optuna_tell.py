import math
from collections.abc import Callable

import optuna
import pytest

from gradstudy.storage.database import Database
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.study.worker.optuna_tell import bounded_margin, tell


def result(outcome: str, final_loss: float | None, reason: str | None = None, initial_loss: float = 2.0) -> TrialResult:
    return TrialResult(
        outcome=Outcome(outcome),
        reason=reason,
        steps=3,
        initial_loss=initial_loss,
        final_loss=final_loss,
        objective=1.5,
    )


@pytest.mark.parametrize(
    ("outcome", "final_loss", "reason", "margin"),
    [
        ("trained", 1.0, None, math.log(0.5)),
        ("trained", 0.0, None, -10.0),
        ("stalled", 2.0, None, 0.0),
        ("diverged", 3.0, "no_recovery", math.log(1.5)),
        ("diverged", 2.0, "no_recovery", 1e-9),
        ("diverged", 1e30, "blow_up", 10.0),
        ("diverged", 0.1, "non_finite_loss", 10.0),
        ("diverged", 0.1, "non_finite_gradient", 10.0),
        ("diverged", math.nan, "no_recovery", 10.0),
        ("diverged", None, "no_recovery", 10.0),
    ],
)
def test_the_margin_is_finite_and_positive_exactly_when_a_trial_diverged(
    outcome: str, final_loss: float, reason: str | None, margin: float
) -> None:
    assert bounded_margin(result(outcome, final_loss, reason)) == pytest.approx(margin)


@pytest.mark.parametrize(
    ("told", "state"),
    [(result("trained", 1.0), "COMPLETE"), (TrialResult(outcome=Outcome.FAILED, steps=0, error="boom"), "FAIL")],
)
def test_a_trial_without_an_objective_fails(told: TrialResult, state: str) -> None:
    study = optuna.create_study()
    tell(study._storage, study.ask()._trial_id, told)
    assert study.trials[0].state.name == state


def test_telling_again_changes_nothing() -> None:
    study = optuna.create_study()
    trial_id = study.ask()._trial_id
    tell(study._storage, trial_id, result("trained", 1.0))
    before = study.trials
    tell(study._storage, trial_id, result("diverged", 9.0, "blow_up"))
    assert study.trials == before


def test_a_trial_that_waits_in_optuna_is_told_all_the_same(
    finished: Database, optuna_trials: Callable[[Database], list[optuna.trial.FrozenTrial]]
) -> None:
    study = optuna.load_study(study_name="s", storage=finished.optuna_storage)
    trial = study.ask()
    finished.optuna_storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState.WAITING)
    tell(finished.optuna_storage, trial._trial_id, result("trained", 1.0))
    assert optuna_trials(finished)[-1].value == 1.5
