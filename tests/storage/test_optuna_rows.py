"""What is written in bulk is what Optuna's own calls would have written."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Engine, event

from gradstudy.storage.beginning import Beginning, begin_trials
from gradstudy.storage.claiming import claim_trials
from gradstudy.storage.claims import give_back
from gradstudy.storage.database import Database
from gradstudy.storage.lost_workers import release_worker
from gradstudy.storage.optuna_rows import DraftRows, create_trials, set_states, tell_trials
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.recorder import Ending, OptunaAttributes, Steps, record
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.storage.studies import StudyRecord, Versions, create_study
from gradstudy.storage.transactions import writing
from gradstudy.storage.workers import register_worker

GROUP = 16
MOST_STATEMENTS = 10
SETTING = SettingRow(cell="lstm", strategy="norm", threshold=1.0, learning_rate=0.5, factors={})
DISTRIBUTIONS = {
    "cell": CategoricalDistribution(["lstm", "gru"]),
    "learning_rate": FloatDistribution(1e-3, 10, log=True),
}
RESULTS = [
    TrialResult(outcome=Outcome.TRAINED, steps=1, objective=1.5),
    TrialResult(outcome=Outcome.DIVERGED, steps=1, objective=7.0),
    TrialResult(outcome=Outcome.FAILED, steps=0, error="boom"),
    *[TrialResult(outcome=Outcome.PRUNED, steps=1)] * 4,
]
REPORTED = [None] * 4 + [0.25, math.inf, math.nan]
"""What each trial reported last, in its second step."""

Rows = Callable[[str], list[Any]]


def drafts() -> list[FrozenTrial]:
    return [
        create_trial(
            state=TrialState.RUNNING,
            params={"cell": "gru", "learning_rate": 0.1 * (1 + place)},
            distributions=DISTRIBUTIONS,
            system_attrs={"place": place},
        )
        for place in range(len(RESULTS))
    ]


def report(db: Database, keys: list[int]) -> None:
    for key, value in zip(keys, REPORTED, strict=True):
        if value is not None:
            db.optuna_storage.set_trial_intermediate_value(key, 1, 9.0)
            db.optuna_storage.set_trial_intermediate_value(key, 2, value)


def tables(rows: Rows, study_id: int) -> dict[str, list[Any]]:
    """The rows of a study but for their keys and times."""
    of_trial = f"JOIN trials t ON t.trial_id = x.trial_id WHERE t.study_id = {study_id} ORDER BY t.number"
    columns = {
        "trial_params": "param_name, param_value, distribution_json",
        "trial_system_attributes": "x.key, value_json",
        "trial_user_attributes": "x.key, value_json",
        "trial_values": "objective, value, value_type",
        "trial_intermediate_values": "step, intermediate_value, intermediate_value_type",
    }
    found = {table: rows(f"SELECT number, {names} FROM {table} x {of_trial}") for table, names in columns.items()}
    times = "datetime_start IS NULL, datetime_complete IS NULL"
    found["trials"] = rows(f"SELECT number, state, {times} FROM trials WHERE study_id = {study_id} ORDER BY number")
    return {table: sorted(of_table, key=str) for table, of_table in found.items()}


@pytest.fixture
def studies(db: Database) -> list[StudyRecord]:
    versions = Versions(gradstudy="0.1", optuna="5.0.0", torch="2.9")
    return [create_study(db, name, {"task": "copy"}, 64, versions) for name in ("ours", "theirs")]


def test_the_rows_of_trials_are_those_of_optuna(db: Database, studies: list[StudyRecord], rows: Rows) -> None:
    ours, theirs = (study.study_id for study in studies)
    with writing(db.engine) as connection:
        made = create_trials(connection, ours, [DraftRows.of(each) for each in drafts()])
    report(db, made)
    with writing(db.engine) as connection:
        tell_trials(connection, dict(zip(made, RESULTS, strict=True)))
    study = optuna.load_study(study_name="theirs", storage=db.optuna_storage)
    keys = [db.optuna_storage.create_new_trial(theirs, draft) for draft in drafts()]
    report(db, keys)
    for trial, key, result in zip(study.trials, keys, RESULTS, strict=True):
        if result.outcome is Outcome.PRUNED and math.isnan(trial.intermediate_values.get(2, 0.0)):
            db.optuna_storage.set_trial_state_values(key, TrialState.PRUNED)  # Optuna has no value that is none
        elif result.outcome is Outcome.PRUNED:
            study.tell(trial.number, state=TrialState.PRUNED)
        elif result.objective is None:
            study.tell(trial.number, state=TrialState.FAIL)
        else:
            study.tell(trial.number, result.objective)
    assert tables(rows, ours) == tables(rows, theirs)


def test_numbers_go_on_after_trials_that_optuna_made_and_before_others(
    db: Database, studies: list[StudyRecord]
) -> None:
    study = optuna.load_study(study_name="ours", storage=db.optuna_storage)
    optuna.load_study(study_name="theirs", storage=db.optuna_storage).ask()
    study.ask()
    with writing(db.engine) as connection:
        create_trials(connection, studies[0].study_id, [DraftRows.of(each) for each in drafts()[:3]])
    study.ask()
    assert [trial.number for trial in study.trials] == list(range(5))
    assert [trial.params.get("learning_rate") for trial in study.trials] == [None, 0.1, 0.2, 0.1 * 3, None]


def test_states_change_as_optuna_changes_them(db: Database, studies: list[StudyRecord]) -> None:
    study = optuna.load_study(study_name="ours", storage=db.optuna_storage)
    ended, waiting, running = (study.ask()._trial_id for _ in range(3))
    db.optuna_storage.set_trial_state_values(ended, TrialState.FAIL)
    db.optuna_storage.set_trial_state_values(waiting, TrialState.WAITING)
    before = study.trials

    def states_after(state: str) -> list[str]:
        with writing(db.engine) as connection:
            set_states(connection, [ended, waiting, running], state)
        return [trial.state.name for trial in study.trials]

    assert states_after("RUNNING") == ["FAIL", "RUNNING", "RUNNING"]
    assert study.trials[2] == before[2]  # it ran already
    assert states_after("WAITING") == ["FAIL", "WAITING", "WAITING"]
    assert states_after("FAIL") == ["FAIL"] * 3
    assert study.trials[0] == before[0]
    with writing(db.engine) as connection:
        tell_trials(connection, dict.fromkeys([ended, waiting], RESULTS[0]))
    assert [trial.value for trial in study.trials] == [None] * 3


@contextmanager
def counting(*engines: Engine) -> Iterator[list[str]]:
    """The statements that engines are given."""
    found: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        found.append(statement)

    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield found
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


def test_a_trial_of_a_group_costs_few_statements(db: Database, studies: list[StudyRecord]) -> None:
    worker = register_worker(db.engine, "here", 17, "cpu")
    study = studies[0]
    trial = drafts()[0]
    with counting(db.engine, db.optuna_storage.engine) as statements:  # type: ignore[union-attr]
        claims = claim_trials(db.engine, study, worker, int, wanted=GROUP)
        begun = begin_trials(db.engine, [Beginning(claim, SETTING, trial, {}) for claim in claims])
        steps = Steps(loss=[3.0, 2.0], grad_norm=1.0, applied_norm=1.0, learning_rate=0.5)
        attributes = OptunaAttributes({"outcome": "trained", "seconds": 1.0}, {"constraints:c": -1.0})
        endings = [
            Ending(claim=claim, result=RESULTS[0], steps=steps, attributes=attributes)
            for claim in begun
            if claim is not None
        ]
        assert record(db.engine, endings) == [True] * GROUP
    assert len(statements) <= GROUP * MOST_STATEMENTS
    assert len(statements) < 30, "\n".join(statements)  # all of them together


def test_optuna_knows_at_once_who_runs_what(db: Database, studies: list[StudyRecord]) -> None:
    worker = register_worker(db.engine, "here", 17, "cpu")
    trials = optuna.load_study(study_name="ours", storage=db.optuna_storage)

    def states() -> list[str]:
        return [trial.state.name for trial in trials.trials]

    claims = claim_trials(db.engine, studies[0], worker, int, wanted=3)
    assert states() == []
    begun = begin_trials(db.engine, [Beginning(claim, SETTING, drafts()[0], {}) for claim in claims])
    assert begin_trials(db.engine, [Beginning(claim, SETTING, drafts()[0], {}) for claim in claims]) == begun
    assert states() == ["RUNNING"] * 3
    assert begun[0] is not None
    assert give_back(db.engine, begun[0])
    assert states() == ["WAITING", "RUNNING", "RUNNING"]
    (again,) = claim_trials(db.engine, studies[0], worker, int)
    assert (again.trial_id, again.attempt) == (begun[0].trial_id, 2)
    assert states() == ["RUNNING"] * 3
    release_worker(db.engine, worker)
    assert states() == ["WAITING"] * 3
