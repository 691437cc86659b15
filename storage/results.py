"""How a trial can end, and its result as it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from gradstudy.storage.json_values import json_value


class Outcome(StrEnum):
    """The outcome of a trial; its value is what the database holds.

    ``FAILED`` is the machine's fault (an exception, a lost worker), the others are results.
    """

    TRAINED = "trained"
    STALLED = "stalled"
    DIVERGED = "diverged"
    PRUNED = "pruned"
    FAILED = "failed"


RUNNING = "running"
REMAINING = "remaining"
EXCLUDED = "excluded"
"""What trials are counted as beside their outcomes."""


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """How a trial ended; each field is the column of that name. Numbers that are not finite become NULL.

    Attributes:
        steps: how many training steps were made.
        final_loss: the smoothed training loss at the end.
        grad_norm_p50: the median of the gradient's norm before clipping; p90 and max likewise.
        clipped_fraction: of the steps, how many were clipped.
        metrics: what was measured beside the validation loss, by name; None where nothing was.
        seconds: from the first step to the last.
        error: the traceback of a failed trial.
    """

    outcome: Outcome
    steps: int
    reason: str | None = None
    diverged_at_step: int | None = None
    initial_loss: float | None = None
    final_loss: float | None = None
    initial_validation_loss: float | None = None
    validation_loss: float | None = None
    objective: float | None = None
    grad_norm_p50: float | None = None
    grad_norm_p90: float | None = None
    grad_norm_max: float | None = None
    clipped_fraction: float | None = None
    spikes: int | None = None
    skipped_steps: int | None = None
    metrics: Mapping[str, float] | None = None
    seconds: float | None = None
    error: str | None = None

    def columns(self) -> dict[str, Any]:
        """The values by column, with None for what is not finite."""
        return {field.name: _finite(getattr(self, field.name)) for field in fields(self)}


def _finite(value: Any) -> Any:
    return json_value(value) if isinstance(value, Mapping | float) else value


def told_state(outcome: Outcome, objective: float | None) -> str:
    """The state that Optuna is told of a trial: one without an objective has failed, whatever it showed."""
    if outcome is Outcome.PRUNED:
        return "PRUNED"
    return "FAIL" if objective is None else "COMPLETE"
