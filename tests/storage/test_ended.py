"""The sums of trials that have ended, on every backend, against a count of the rows."""

import multiprocessing
import random
from collections.abc import Callable
from typing import Any

import pytest
from ended_trials import assert_sums_are_counts, end_trials, exclude_and_include
from one_trial import begin_trial, record_trial
from racing import run_together
from waiting import PATIENCE_SECONDS, until

from gradstudy.storage.claims import Claim, give_back
from gradstudy.storage.database import Database
from gradstudy.storage.ended import SHARES, read_ended
from gradstudy.storage.ending import begin_no_more
from gradstudy.storage.errors import NotFoundError
from gradstudy.storage.exclusion import exclude_trials, include_trials
from gradstudy.storage.lost_workers import MOST_LOSSES, release_worker
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.recorded_runs import begin_run, keep_steps
from gradstudy.storage.recorder import Steps
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.storage.studies import EXTERNAL, StudyRecord, Versions, create_study, delete_study, find_study
from gradstudy.storage.transactions import reading
from gradstudy.storage.workers import register_worker

SETTING = SettingRow(cell="lstm", strategy="norm", threshold=1.0, learning_rate=0.5)
STEPS = Steps(loss=[1.0], grad_norm=1.0, applied_norm=1.0, learning_rate=0.5)
VERSIONS = Versions(gradstudy="0", optuna="5", torch="2")
CONTEXT = multiprocessing.get_context("forkserver")
KILLS, STORM_TRIALS, STORM_WORKERS = 12, 120, 4


def marks(db: Database, study_id: int) -> int:
    with reading(db.engine) as connection:
        return read_ended(connection, [study_id])[study_id].marks


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_trial_is_counted_once_when_it_ends(
    db: Database, launched: StudyRecord, begin: Callable[..., Claim], outcome: Outcome
) -> None:
    claim = begin()
    assert_sums_are_counts(db)
    for _ in range(2):  # the second finds it done
        assert record_trial(db.engine, claim, TrialResult(outcome=outcome, steps=0))
        assert_sums_are_counts(db)
        counts = count_outcomes(db.engine, launched)
        assert {name: count for name, count in counts.items() if count} == {str(outcome): 1, "remaining": 4}


def test_excluded_trials_are_counted_as_that_alone(
    db: Database, launched: StudyRecord, run: Callable[..., Any]
) -> None:
    for outcome in ("trained", "diverged", "failed"):
        run(outcome, objective=0.5)
    seen = [marks(db, launched.study_id)]
    for change in (
        lambda: exclude_trials(db, launched, [0, 2], "why"),
        lambda: exclude_trials(db, launched, [0, 1], "another reason"),
        lambda: include_trials(db, launched, [0]),
        lambda: exclude_trials(db, launched, [1], "a third one"),
        lambda: include_trials(db, launched, [2, 1]),
    ):
        change()
        assert_sums_are_counts(db)
        seen.append(marks(db, launched.study_id))
    assert len(set(seen[:-1])) == len(seen) - 1
    assert seen[-1] == seen[0]
    with pytest.raises(NotFoundError):
        include_trials(db, launched, [0])
    assert marks(db, launched.study_id) == seen[-1]


def test_a_trial_that_is_given_back_or_ends_its_workers_is_counted_when_it_has_failed(
    db: Database, launched: StudyRecord, claim_next: Callable[[], Claim]
) -> None:
    claim = begin_trial(db.engine, claim_next(), SETTING)
    give_back(db.engine, claim)
    assert_sums_are_counts(db)
    claim_next()
    for loss in range(MOST_LOSSES):
        if release_worker(db.engine, claim.worker_id).failed:
            break
        assert_sums_are_counts(db)
        assert loss < MOST_LOSSES - 1
        claim_next()
    assert_sums_are_counts(db)
    assert count_outcomes(db.engine, launched)["failed"] == 1


def test_a_recorded_run_that_was_taken_for_lost_and_goes_on_is_counted_when_it_ends(db: Database) -> None:
    study = create_study(db, "runs", {EXTERNAL: {}}, 0, VERSIONS)
    worker = register_worker(db.engine, "here", 1, "cpu")
    claim = begin_trial(db.engine, begin_run(db.engine, study, worker, SETTING, 0), SETTING)
    begin_run(db.engine, study, worker, SETTING, 1)
    assert len(release_worker(db.engine, worker).failed) == 1
    assert_sums_are_counts(db)
    assert count_outcomes(db.engine, find_study(db, "runs"))["failed"] == 1
    exclude_trials(db, study, [0], "it was lost")
    keep_steps(db.engine, claim, STEPS)
    assert_sums_are_counts(db)
    assert record_trial(db.engine, claim, TrialResult(outcome=Outcome.TRAINED, steps=1, objective=1.0))
    assert_sums_are_counts(db)
    include_trials(db, study, [0])
    assert_sums_are_counts(db)
    assert count_outcomes(db.engine, find_study(db, "runs"))["trained"] == 1


def test_a_study_that_ends_early_or_is_deleted_leaves_no_sums_behind(
    db: Database, launched: StudyRecord, run: Callable[..., Any], rows: Callable[[str], list[Any]]
) -> None:
    run("trained", objective=0.5)
    assert begin_no_more(db, launched, 1) == 1
    assert_sums_are_counts(db)
    create_study(db, "other", {}, 3, VERSIONS)
    delete_study(db, launched.name)
    assert_sums_are_counts(db)
    assert rows("SELECT COUNT(*) FROM gradstudy_ended") == [(SHARES,)]


def test_processes_that_exclude_the_same_trials_count_each_once(
    db: Database, url: str, launched: StudyRecord, run: Callable[..., Any]
) -> None:
    run("trained", objective=0.5)
    run("diverged", objective=0.5)
    run_together(4, exclude_and_include, url)
    assert_sums_are_counts(db)


@pytest.mark.soak
def test_workers_that_are_killed_whatever_they_do_leave_sums_that_are_counts(
    db: Database, url: str, rows: Callable[[str], list[Any]]
) -> None:
    study = create_study(db, "s", {}, STORM_TRIALS, VERSIONS)
    draw = random.Random(1)

    def start(seed: int) -> Any:
        process = CONTEXT.Process(target=end_trials, args=(url, seed))
        process.start()
        return seed, process

    def have_ended(trials: int) -> bool:
        assert_sums_are_counts(db)
        counts = count_outcomes(db.engine, study)
        return STORM_TRIALS - counts["remaining"] - counts["running"] >= trials

    running = [start(seed) for seed in range(STORM_WORKERS)]
    for kill, mark in enumerate(sorted(draw.sample(range(1, STORM_TRIALS // 2), KILLS))):
        until(lambda mark=mark: have_ended(mark))  # type: ignore[misc]
        place = draw.randrange(STORM_WORKERS)
        seed, process = running[place]
        process.kill()
        process.join()
        for (worker,) in rows(f"SELECT worker_id FROM gradstudy_worker WHERE pid = {seed}"):
            release_worker(db.engine, worker)
        assert_sums_are_counts(db)
        running[place] = start(STORM_WORKERS + kill)
    for _, process in running:
        process.join(PATIENCE_SECONDS)
        assert process.exitcode == 0
    assert_sums_are_counts(db)
    assert have_ended(STORM_TRIALS)
