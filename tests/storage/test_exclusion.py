"""Excluding trials on every backend."""

from collections.abc import Callable
from typing import Any

import pytest
from optuna.trial import TrialState

from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotEndedError, NotFoundError
from gradstudy.storage.exclusion import exclude_trials, include_trials
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.studies import StudyRecord


def states(db: Database, study: StudyRecord) -> list[TrialState]:
    return [trial.state for trial in db.optuna_storage.get_all_trials(study.study_id)]


def test_trials_are_excluded_and_count_again(db: Database, launched: StudyRecord, run: Callable[..., Any]) -> None:
    told = [
        ("trained", TrialState.COMPLETE, 0.5),
        ("pruned", TrialState.PRUNED, 0.7),
        ("failed", TrialState.FAIL, None),
    ]
    for outcome, _, objective in told:
        run(outcome, objective=objective)
    before = states(db, launched)
    assert before == [state for _, state, _ in told]
    exclude_trials(db, launched, [0, 1, 2], "a 'why' with a \\ in it")
    assert states(db, launched) == [TrialState.FAIL] * 3
    assert read_trials(db, "s").empty
    shown = read_trials(db, "s", excluded=True)
    assert shown["excluded"].tolist() == ["a 'why' with a \\ in it"] * 3
    assert count_outcomes(db.engine, launched)["excluded"] == 3
    assert db.optuna_storage.get_all_trials(launched.study_id)[0].user_attrs["excluded"] == "a 'why' with a \\ in it"
    include_trials(db, launched, [2, 1, 0])
    assert states(db, launched) == before
    assert read_trials(db, "s")["excluded"].isna().all()
    assert "excluded" not in count_outcomes(db.engine, launched)


def test_a_summary_counts_no_excluded_trial(
    db: Database, launched: StudyRecord, run: Callable[..., Any], rows: Callable[[str], list[Any]]
) -> None:
    for outcome in ("trained", "diverged"):
        run(outcome, objective=0.5)
    assert rows("SELECT n, diverged FROM setting_summary") == [(2, 1)]
    exclude_trials(db, launched, [1], "why")
    assert rows("SELECT n, diverged FROM setting_summary") == [(1, 0)]


def test_what_has_not_ended_or_is_not_there_is_refused(
    db: Database, launched: StudyRecord, run: Callable[..., Any], begin: Callable[..., Any]
) -> None:
    run("trained", objective=0.5)
    begin()
    with pytest.raises(NotEndedError, match="trial 1 of study 's' has not ended"):
        exclude_trials(db, launched, [0, 1], "why")
    with pytest.raises(NotFoundError, match="no trial 7; its trials are 0 to 1"):
        exclude_trials(db, launched, [0, 7], "why")
    with pytest.raises(NotFoundError, match="trial 0 of study 's' is not excluded"):
        include_trials(db, launched, [0])
    assert len(read_trials(db, "s")) == 2
