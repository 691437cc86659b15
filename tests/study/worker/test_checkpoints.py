"""Trials that take long go on where they were, whoever had them."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from silent import Silent

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.arrays import Slots
from gradstudy.study.training.trial import Newcomer
from gradstudy.study.worker import checkpointing

Work = Callable[..., None]

KEPT_ALWAYS = """
import sys, threading
from gradstudy.storage.database import Database
from gradstudy.storage.studies import find_study
from gradstudy.study.worker import checkpointing, worker
from gradstudy.study.worker.bookkeeping import Bookkeeping
from gradstudy.study.worker.job import Job

checkpointing.SECONDS_BETWEEN = 0.0
save = Bookkeeping.save

def saved_once(self, claim, step, state):
    kept = save(self, claim, step, state)
    if step >= 20:
        print("kept", flush=True)
        threading.Event().wait()
    return kept

Bookkeeping.save = saved_once

class Silent:
    def started(self, ordinal): ...
    def finished(self, ordinal, result): ...
    def waiting(self, message): ...

with Database.open(sys.argv[1]) as db:
    worker.Worker(Job.of(db, find_study(db, "s")), slots=1, listener=Silent()).run(threading.Event())
"""


class StopAfterBlocks(Silent):
    """Stops the work when the arrays have trained so many blocks of steps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
        self.stop = threading.Event()
        advance, left = Slots.advance, iter(range(blocks - 1))

        def counted(slots: Slots[Any], *given: Any) -> Any:
            if next(left, None) is None:
                self.stop.set()
            return advance(slots, *given)

        monkeypatch.setattr(Slots, "advance", counted)


@pytest.fixture
def begun_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The step from which each trial was trained."""
    steps: list[int] = []
    admit_all = Slots.admit_all

    def noted(slots: Slots[Any], newcomers: Sequence[Newcomer[Any]]) -> None:
        admit_all(slots, newcomers)
        steps.extend(step for _, step in slots.steps()[-len(newcomers) :])

    monkeypatch.setattr(Slots, "admit_all", noted)
    return steps


def states_in(db: Database) -> int:
    with db.engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT COUNT(*) FROM gradstudy_checkpoint").scalar_one())


def test_a_stop_keeps_what_was_trained_and_the_study_ends_as_if_undisturbed(
    db: Database, finished: Database, work: Work, monkeypatch: pytest.MonkeyPatch, begun_at: list[int],
    same_results: Callable[..., None],
) -> None:  # fmt: skip
    monkeypatch.setattr(checkpointing, "WORTH_KEEPING", 0.0)
    with monkeypatch.context() as patch:
        listener = StopAfterBlocks(patch, 6)
        work(db, stop=listener.stop, listener=listener)
    assert states_in(db) > 0
    begun_at.clear()
    work(db)
    assert max(begun_at) > 0
    assert states_in(db) == 0
    same_results(read_trials(db, "s"), read_trials(finished, "s"), rtol=1e-3)
    of_both = [read_steps(each, "s").set_index(["number", "step"])["loss"] for each in (db, finished)]
    assert of_both[0].index.equals(of_both[1].index)


def test_short_trials_are_not_kept(db: Database, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = StopAfterBlocks(monkeypatch, 3)
    work(db, stop=listener.stop, listener=listener)
    assert states_in(db) == 0


def test_after_a_kill_another_worker_goes_on_from_the_last_state(
    db: Database, spec: StudySpec, work: Work, begun_at: list[int]
) -> None:
    spec = spec.model_copy(update={"trials": 1, "sampler": "random", "steps": 60})
    create_or_resume(db, spec)
    with subprocess.Popen(
        [sys.executable, "-c", KEPT_ALWAYS, f"sqlite:///{db.path}"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "kept\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    work(db, spec)
    assert begun_at == [20]
    (row,) = read_trials(db, "s").to_dict("records")
    assert (row["attempt"], row["steps"]) == (2, 60)
    assert read_steps(db, "s")["step"].tolist() == list(range(60))
    assert states_in(db) == 0
