import os
import subprocess
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from one_trial import begin_trial

from gradstudy.storage.claims import Claim, give_back
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.results import TrialResult
from gradstudy.storage.studies import find_study
from gradstudy.study.worker.recovery import recover

ClaimAs = Callable[[int], Claim]
States = Callable[[Database], list[str]]
Trials = Callable[[Database], list[Any]]
Pid = Callable[[int], None]
Work = Callable[..., None]
Execute = Callable[..., list[Any]]
SETTING = SettingRow(cell="lstm", strategy="norm", threshold=1.0, learning_rate=0.5, factors={})

OPEN = "trial_id IN (SELECT trial_id FROM trials WHERE state = 'RUNNING')"
UNTELL = (
    "UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE number IN (3, 7)",
    f"DELETE FROM trial_values WHERE {OPEN}",
)
"""A worker died before it told Optuna of two trials."""


def recover_study(db: Database) -> bool:
    return recover(db, find_study(db, "s"))


def told(trials: list[Any]) -> list[Any]:
    return [(trial.state, trial.value, trial.user_attrs, trial.constraints) for trial in trials]


@pytest.fixture
def worked_by(finished: Database, execute: Execute) -> Callable[[int], None]:
    """Say that the study was worked on by a process of this machine, which was just seen."""
    seen = "stopped_at = NULL, last_seen_at = '2999-01-01 00:00:00.000000'"
    return lambda pid: execute(  # type: ignore[return-value]
        finished, f"UPDATE gradstudy_worker SET pid = {pid}, {seen}"
    )


def test_a_result_that_a_dead_worker_did_not_tell_is_told(
    finished: Database, execute: Execute, optuna_trials: Trials, worked_by: Pid, dead_pid: int
) -> None:
    before = told(optuna_trials(finished))
    execute(finished, *UNTELL)
    assert told(optuna_trials(finished)) != before
    worked_by(dead_pid)
    recover_study(finished)
    assert told(optuna_trials(finished)) == before


def test_a_result_that_a_living_worker_may_be_about_to_tell_is_left_to_it(
    finished: Database, execute: Execute, states: States, worked_by: Pid
) -> None:
    execute(finished, *UNTELL)
    worked_by(os.getpid())
    recover_study(finished)
    assert [number for number, state in enumerate(states(finished)) if state == "RUNNING"] == [3, 7]


def test_a_result_of_a_worker_elsewhere_is_told_once_it_was_not_seen_for_long(
    finished: Database, execute: Execute, states: States, worked_by: Pid
) -> None:
    execute(finished, *UNTELL)
    worked_by(os.getpid())
    execute(finished, "UPDATE gradstudy_worker SET process_space = NULL")
    recover_study(finished)
    assert states(finished).count("RUNNING") == 2
    execute(finished, "UPDATE gradstudy_worker SET last_seen_at = '2001-01-01 00:00:00.000000'")
    recover_study(finished)
    assert states(finished) == ["COMPLETE"] * 12


def test_a_study_that_seemed_done_is_told_the_rest_by_the_next_worker(
    finished: Database, execute: Execute, work: Work, states: States, worked_by: Pid, dead_pid: int
) -> None:
    execute(finished, *UNTELL)
    worked_by(dead_pid)
    work(finished)
    assert states(finished) == ["COMPLETE"] * 12


def test_a_trial_that_no_worker_knows_fails(finished: Database, states: States) -> None:
    finished.optuna_storage.create_new_trial(find_study(finished, "s").study_id)
    recover_study(finished)
    assert states(finished) == ["COMPLETE"] * 12 + ["FAIL"]
    assert len(read_trials(finished, "s")) == 12


def test_the_claim_of_a_dead_worker_that_had_not_begun_is_free(
    db: Database, states: States, claim_as: ClaimAs, dead_pid: int
) -> None:
    claim_as(dead_pid)
    assert recover_study(db)
    assert states(db) == []
    counts = count_outcomes(db.engine, find_study(db, "s"))
    assert (counts["running"], counts["remaining"]) == (0, 12)


def test_what_runs_in_another_study_is_left_alone(finished: Database) -> None:
    theirs = optuna.create_study(study_name="theirs", storage=finished.optuna_storage)
    theirs.ask()
    recover_study(finished)
    assert theirs.trials[0].state.name == "RUNNING"


def test_only_trials_of_the_dead_are_given_back(
    db: Database, states: States, claim_as: ClaimAs, dead_pid: int, execute: Execute
) -> None:
    for pid in (dead_pid, os.getpid()):
        claim = claim_as(pid)
        begin_trial(db.engine, claim, SETTING)
    assert recover_study(db)
    assert states(db) == ["WAITING", "RUNNING"]
    assert execute(db, "SELECT worker_id IS NULL FROM gradstudy_trial ORDER BY ordinal") == [(1,), (0,)]
    assert not recover_study(db)


def test_a_worker_leaves_alone_what_another_took_back_and_optuna_still_offers(
    db: Database, states: States, claim_as: ClaimAs, work: Work
) -> None:
    claim = claim_as(os.getpid())
    claim = begin_trial(db.engine, claim, SETTING)
    assert claim.trial_id is not None
    assert give_back(db.engine, claim)
    assert states(db) == ["WAITING"]
    assert claim_as(os.getpid()).trial_id == claim.trial_id
    work(db, stand_by=False)
    assert states(db) == ["RUNNING"] + ["COMPLETE"] * 11


def test_a_worker_that_is_through_takes_over_from_one_that_died_meanwhile(
    db: Database, states: States, claim_as: ClaimAs, work: Work
) -> None:
    other = subprocess.Popen(["sleep", "1000"])

    class Killer:
        def started(self, ordinal: int) -> None:
            pass

        def finished(self, ordinal: int, result: TrialResult) -> None:
            other.kill()
            other.wait()

        def waiting(self, message: str) -> None:
            pass

    claim = claim_as(other.pid)
    begin_trial(db.engine, claim, SETTING)
    work(db, listener=Killer())
    assert states(db) == ["COMPLETE"] * 12
