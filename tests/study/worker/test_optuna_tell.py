import math

import pytest

from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.study.worker.optuna_tell import bounded_margin


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
