"""Claiming, beginning and ending one trial, where a worker does so with many at once."""

from collections.abc import Callable, Mapping
from typing import Any

import optuna
from sqlalchemy import Engine

from gradstudy.storage.beginning import Beginning, begin_trials
from gradstudy.storage.claiming import claim_trials
from gradstudy.storage.claims import Claim
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.recorder import Ending, record
from gradstudy.storage.results import TrialResult
from gradstudy.storage.studies import StudyRecord


def claim_trial(
    engine: Engine, study: StudyRecord, worker_id: int, seed_of: Callable[[int], int], **given: int
) -> Claim | None:
    """The next trial of a study, if there is one."""
    return next(iter(claim_trials(engine, study, worker_id, seed_of, **given)), None)


def begin_trial(
    engine: Engine, claim: Claim, setting: SettingRow, replicates: Mapping[int, int] | None = None
) -> Claim:
    """Begin a trial that was claimed, with a setting."""
    trial = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
    (begun,) = begin_trials(engine, [Beginning(claim, setting, trial, replicates or {})])
    assert begun is not None
    return begun


def record_trial(engine: Engine, claim: Claim, result: TrialResult, *rest: Any, **given: Any) -> bool:
    """Write how one trial ended, with its steps and Optuna's attributes; whether that is there."""
    names = ("steps", "attributes")
    ending = Ending(claim=claim, result=result, **dict(zip(names, rest, strict=False)), **given)
    return record(engine, [ending]) == [True]
