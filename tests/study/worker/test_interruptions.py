import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.results import TrialResult
from gradstudy.storage.studies import find_study
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import StudySpec

Work = Callable[..., None]


HELD_AT_THE_SECOND_TRIAL = """
import sys, threading
from gradstudy.storage.database import Database
from gradstudy.storage.studies import find_study
from gradstudy.study.worker.job import Job
from gradstudy.study.worker.worker import Worker

class Held:
    def started(self, ordinal):
        if ordinal == 1:
            print("two have begun", flush=True)
            threading.Event().wait()
    def finished(self, ordinal, result): ...
    def waiting(self, message): ...

with Database.open(sys.argv[1]) as db:
    Worker(Job.of(db, find_study(db, "s")), slots=2, listener=Held()).run(threading.Event())
"""


class StopAt:
    """Stops the work as soon as so many trials have begun."""

    def __init__(self, trials: int) -> None:
        self.left = trials
        self.stop = threading.Event()

    def started(self, ordinal: int) -> None:
        self.left -= 1
        if self.left == 0:
            self.stop.set()

    def finished(self, ordinal: int, result: TrialResult) -> None:
        pass

    def waiting(self, message: str) -> None:
        pass


def counts_of(db: Database) -> dict[str, int]:
    return count_outcomes(db.engine, find_study(db, "s"))


def stop_at(db: Database, work: Work, trials: int, **given: Any) -> None:
    listener = StopAt(trials)
    work(db, stop=listener.stop, listener=listener, **given)


def test_a_stop_gives_back_what_is_running(db: Database, work: Work, states: Any) -> None:
    stop_at(db, work, 6)
    counts = counts_of(db)
    assert counts["running"] == 0
    complete, waiting = states(db).count("COMPLETE"), states(db).count("WAITING")
    assert waiting > 0
    assert complete > 0
    assert complete + waiting == len(states(db)) >= 6  # those that were asked for ahead wait as well
    assert counts["remaining"] == 12 - complete


def test_a_study_that_was_stopped_twice_ends_as_if_undisturbed(
    db: Database, finished: Database, work: Work, states: Any, same_results: Callable[..., None]
) -> None:
    stop_at(db, work, 2)
    stop_at(db, work, 6, slots=3)
    work(db)
    assert states(db) == ["COMPLETE"] * 12
    trials = read_trials(db, "s")
    same_results(trials, read_trials(finished, "s"), rtol=1e-3)
    assert set(trials["attempt"]) > {1}


def test_a_random_study_goes_on_with_the_settings_that_it_would_have_had(
    new_db: Callable[[], Database], spec: StudySpec, work: Work, same_results: Callable[..., None]
) -> None:
    stopped, undisturbed = new_db(), new_db()
    random = spec.model_copy(update={"sampler": "random", "trials": 6, "steps": 5})
    stop_at(stopped, work, 3, spec=random, slots=2)
    work(stopped, random)
    work(undisturbed, random)
    same_results(read_trials(stopped, "s"), read_trials(undisturbed, "s"), rtol=1e-3)


def test_a_stop_before_the_start_begins_nothing(db: Database, work: Work, states: Any) -> None:
    stop = threading.Event()
    stop.set()
    work(db, stop=stop)
    assert states(db) == []
    assert counts_of(db)["remaining"] == 12


def test_a_worker_that_was_killed_is_replaced_by_the_next(
    db: Database, spec: StudySpec, work: Work, states: Any, execute: Callable[..., list[Any]]
) -> None:
    spec = spec.model_copy(update={"trials": 6})
    create_or_resume(db, spec)
    command = [sys.executable, "-c", HELD_AT_THE_SECOND_TRIAL, f"sqlite:///{db.path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "two have begun\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert states(db).count("RUNNING") > 0
    work(db, spec)
    trials = read_trials(db, "s")
    assert sorted(trials["ordinal"]) == list(range(6))
    assert trials["outcome"].notna().all()
    assert trials["attempt"].max() == 2
    # Between asking Optuna and attaching its answer, a killed worker leaves a trial that nobody knows.
    assert [state for state in states(db) if state != "FAIL"] == ["COMPLETE"] * 6
