"""How a recorded run ended, and the result that is kept of it."""

import math
import traceback
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.study.divergence import DivergenceMonitor, Verdict
from gradstudy.study.training.summary import objective_of, spikes, summarize_gradients

UNCHANGED = 1e-6
"""By what share of it a clipped norm may differ from the norm before, and still be the same."""
ENDED_EARLY, EXCEPTION, INTERRUPTED, NO_STEPS = "ended_early", "exception", "interrupted", "no_steps"
"""Why a run was left before its end."""


@dataclass(frozen=True, kw_only=True)
class RunTelemetry:
    """What a run said of itself; T steps.

    Attributes:
        loss: of each step, [T].
        grad_norm: before clipping, [T]; NaN where nothing was said.
        applied_norm: after clipping, [T]; NaN where nothing was said.
        validation: the last validation loss; NaN without any.
        untrained_validation: that of the untrained model; NaN where it is not known.
        metrics: what was measured with the last one.
        seconds: from its begin to its end.
    """

    loss: NDArray[np.float64]
    grad_norm: NDArray[np.float64]
    applied_norm: NDArray[np.float64]
    validation: float
    untrained_validation: float
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a run ended; ``error`` is the traceback of what its loop raised."""

    outcome: Outcome
    reason: str | None = None
    step: int | None = None
    error: str | None = None


def end_of(
    verdict: Verdict | None,
    monitor: DivergenceMonitor | None,
    telemetry: RunTelemetry,
    planned: int | None,
    raised: BaseException | None,
) -> Ending:
    """How a run ended.

    Args:
        verdict: that it has diverged, if it has: whatever its loop did then.
        monitor: that has seen its steps; None before the first.
        telemetry: of the run.
        planned: steps that it was to make; None for as many as it made.
        raised: what its loop ended by.
    """
    if verdict is None and raised is not None:
        reason = EXCEPTION if isinstance(raised, Exception) else INTERRUPTED
        error = "".join(traceback.format_exception(raised))
        return Ending(outcome=Outcome.FAILED, reason=reason, error=error)
    steps = len(telemetry.loss)
    if monitor is None or not steps:
        return Ending(outcome=Outcome.FAILED, reason=NO_STEPS, error="the loop ended without a step")
    if verdict is None and planned is not None and steps < planned:
        return Ending(outcome=Outcome.PRUNED, reason=ENDED_EARLY)
    if verdict is None:
        known = math.isfinite(telemetry.untrained_validation)
        at_end = (telemetry.validation, telemetry.untrained_validation) if known else ()
        verdict = monitor.finish(*at_end)
    return Ending(outcome=Outcome(verdict.outcome), reason=verdict.reason, step=verdict.step)


def result_of(ending: Ending, monitor: DivergenceMonitor | None, telemetry: RunTelemetry) -> TrialResult:
    """What is kept of a run.

    Without a validation loss the smoothed loss of training stands in its place, and without that of the untrained model
    the untrained loss of training.
    """
    norm, applied = telemetry.grad_norm, telemetry.applied_norm
    gradients = summarize_gradients(norm, np.abs(applied - norm) > UNCHANGED * norm)
    began, smoothed = (math.nan, math.nan) if monitor is None else (monitor.initial_loss, monitor.smoothed_loss)
    validation, untrained = telemetry.validation, telemetry.untrained_validation
    if math.isnan(validation):
        validation, untrained = smoothed, began
    elif math.isnan(untrained):
        untrained = began
    if ending.outcome is Outcome.DIVERGED:
        validation = math.nan
    judged = ending.outcome is not Outcome.FAILED
    return TrialResult(
        outcome=ending.outcome,
        reason=ending.reason,
        diverged_at_step=ending.step,
        steps=len(telemetry.loss),
        initial_loss=began,
        final_loss=smoothed,
        initial_validation_loss=untrained,
        validation_loss=validation if judged else None,
        objective=objective_of(ending.outcome, validation, untrained) if judged else None,
        grad_norm_p50=gradients.p50,
        grad_norm_p90=gradients.p90,
        grad_norm_max=gradients.largest,
        clipped_fraction=gradients.clipped_fraction if np.isfinite(applied).any() else None,
        spikes=len(spikes(telemetry.loss)),
        skipped_steps=0 if monitor is None else monitor.skipped_steps,
        metrics=telemetry.metrics or None,
        seconds=telemetry.seconds,
        error=ending.error,
    )
