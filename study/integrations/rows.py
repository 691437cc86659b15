"""The trials of a plain Optuna study as rows of ``trial_result``, and as the record that a report is made of."""

import math
from datetime import datetime
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial

from gradstudy.storage.bins import half_decade
from gradstudy.storage.frames import TYPES
from gradstudy.storage.studies import StudyRecord
from gradstudy.study.integrations.findings import Findings
from gradstudy.study.integrations.notes import notes
from gradstudy.study.integrations.outcomes import Ended
from gradstudy.study.integrations.parameters import Parameters
from gradstudy.study.report.without_spec.known_space import known_space
from gradstudy.study.spec.plain import PLAIN, UNKNOWN_SAMPLER

COLUMNS = [
    "study", "number", "trial_id", "ordinal", "cell", "strategy", "threshold", "learning_rate", "threshold_bin",
    "learning_rate_bin", "factors", "seed", "attempt", "outcome", "reason", "diverged_at_step", "steps", "initial_loss",
    "final_loss", "initial_validation_loss", "validation_loss", "objective", "grad_norm_p50", "grad_norm_p90",
    "grad_norm_max", "clipped_fraction", "spikes", "skipped_steps", "seconds", "worker", "host", "state", "started_at",
    "finished_at", "metrics", "excluded", "searched",
]  # fmt: skip
"""Those of ``gradstudy.storage.frames.read_trials``."""


def to_rows(found: Findings) -> pd.DataFrame:
    """How trials ended, as rows of ``trial_result``: the initial loss is the one that a diverged run counts as."""
    rows = [
        _row(found, found.parameters, trial, ended)
        for trial, ended in zip(found.trials, found.ended, strict=True)
        if found.parameters is not None
    ]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.astype({column: kind for column, kind in TYPES.items() if column in frame})


def to_steps(found: Findings) -> pd.DataFrame:
    """What trials reported, as rows of ``step_result``."""
    of_trial = to_rows(found).set_index("number")[["cell", "strategy", "threshold", "learning_rate", "outcome"]]
    reports = [
        {"study": found.plain.name, "number": trial.number, "trial_id": trial.number, "step": step, "loss": value}
        for trial in found.trials
        for step, value in zip(*found.losses.curve(trial), strict=True)
    ]
    frame = pd.DataFrame(reports, columns=["study", "number", "trial_id", "step", "loss"]).join(of_trial, on="number")
    return frame.assign(grad_norm=math.nan, applied_norm=math.nan).astype({"loss": "float64"})


def to_record(found: Findings) -> StudyRecord:
    """The study in the place of a launched one: its ``spec`` is what is known of it."""
    begun = [trial.datetime_start for trial in found.trials if trial.datetime_start]
    return StudyRecord(
        study_id=-1,
        identity="",
        name=found.plain.name,
        spec=_spec(found, to_rows(found)),
        budget=len(found.trials),
        created_at=min(begun, default=datetime.now()),  # as Optuna has times: by the clock of the machine
        versions=None,
    )


def _row(found: Findings, parameters: Parameters, trial: FrozenTrial, ended: Ended) -> dict[str, Any]:
    reference = found.reference.loss
    learning_rate = parameters.learning_rate(trial.params)
    strategy, threshold = parameters.clipping(trial.params)
    factors, searched = found.further.of(trial.params)
    objectives = dict(zip(found.plain.objectives, trial.values or (), strict=False))
    kept = ended.outcome in ("trained", "stalled")
    return {
        "study": found.plain.name,
        "number": trial.number,
        "trial_id": trial.number,
        "ordinal": trial.number,
        "cell": parameters.cell(trial.params),
        "strategy": strategy,
        "threshold": threshold,
        "learning_rate": learning_rate,
        "threshold_bin": half_decade(threshold),
        "learning_rate_bin": half_decade(learning_rate),
        "factors": factors,
        "seed": 0,
        "attempt": 0,
        "outcome": ended.outcome,
        "reason": ended.reason,
        "diverged_at_step": ended.step,
        "steps": ended.steps,
        "initial_loss": reference,
        "final_loss": ended.loss,
        "initial_validation_loss": reference,
        "validation_loss": ended.loss if kept else math.nan,
        "objective": min(ended.loss, reference) if kept else reference,
        "seconds": trial.duration.total_seconds() if trial.duration else None,
        "state": trial.state.name,
        "started_at": trial.datetime_start,
        "finished_at": trial.datetime_complete,
        "metrics": {name: value for place, (name, value) in enumerate(objectives.items()) if place != found.objective},
        "searched": searched,
    }


def _spec(found: Findings, rows: pd.DataFrame) -> dict[str, Any]:
    """What is known of the study, at the places where a spec has it."""
    roles = {} if found.parameters is None else found.parameters.roles
    return {
        "name": found.plain.name,
        "sampler": _sampler(found),
        "seeds": 1,
        "optimizer": "own",
        "space": known_space(rows, found.further.factors, found.further.ranges),
        "parameters": {role: list(names) for role, names in roles.items() if names},
        PLAIN: {"maximized": found.is_maximized, "reference": found.reference.source, "notes": notes(found)},
    }


def _sampler(found: Findings) -> str:
    """What left its mark on the trials; Optuna keeps no sampler."""
    if found.trials and all("grid_id" in trial.system_attrs for trial in found.trials):
        return "Optuna's grid"
    return UNKNOWN_SAMPLER
