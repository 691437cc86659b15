"""A storm: real worker processes that are killed at random while they run a study, and what must hold after it."""

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from typing import Self

import numpy as np
import optuna
import torch
from sqlalchemy.exc import DBAPIError

from gradstudy.storage.database import Database
from gradstudy.storage.errors import StorageError
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
from gradstudy.storage.results import TrialResult
from gradstudy.storage.studies import find_study
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.worker.job import Job
from gradstudy.study.worker.worker import Worker

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["storm"])  # so that a worker starts in a moment, not in seconds


class Teller:
    """A listener that counts the times that the database was waited for."""

    def __init__(self, waits: "multiprocessing.Queue[str]") -> None:
        self._waits = waits

    def started(self, ordinal: int) -> None:
        pass

    def finished(self, ordinal: int, result: TrialResult) -> None:
        pass

    def waiting(self, message: str) -> None:
        self._waits.put(message)


def work(
    url: str, name: str, slots: int, workers: int, waits: "multiprocessing.Queue[str]", optuna_proxy: str | None
) -> None:
    """What a worker process does."""
    torch.set_num_threads(1)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Database.open(url, optuna_proxy=optuna_proxy) as database:
        job, listener = Job.of(database, find_study(database, name)), Teller(waits)
        Worker(job, slots=slots, workers=workers, listener=listener).run(stop)


class Storm:
    """Workers of one study; a worker that is gone is replaced."""

    def __init__(
        self,
        url: str,
        name: str,
        *,
        workers: int,
        slots: int = 4,
        deadline: float = 240.0,
        optuna_proxy: str | None = None,
    ) -> None:
        self.url = url
        self.name = name
        self.waits: multiprocessing.Queue[str] = CONTEXT.Queue()
        self.end = time.monotonic() + deadline
        self._arguments = (url, name, slots, workers, self.waits, optuna_proxy)
        self.processes = [self._start() for _ in range(workers)]
        self.killed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, signal.SIGKILL)
            process.join()

    def _start(self) -> ForkServerProcess:
        process = CONTEXT.Process(target=work, args=self._arguments)
        process.start()
        return process

    def ended(self) -> tuple[int, bool]:
        """How many trials have ended, and whether all have; (0, False) while the database does not answer."""
        with suppress(StorageError, DBAPIError), Database.open(self.url) as database:
            counts = count_outcomes(database.engine, find_study(database, self.name).study_id)
            left = counts[REMAINING] + counts[RUNNING]
            return sum(counts.values()) - left, left == 0
        return 0, False

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds, replacing workers that are gone."""
        while not condition():
            assert time.monotonic() < self.end, "the study is not done in time"
            for number, process in enumerate(self.processes):
                if not process.is_alive() and not self.ended()[1]:
                    process.join()
                    self.processes[number] = self._start()
            time.sleep(0.05)

    def kill_at_random(self, kills: int, seed: int, trials: int) -> None:
        """Kill a worker each time that a random number of further trials has ended, and let the study end."""
        draw = random.Random(seed)
        marks = sorted(draw.sample(range(1, trials), kills))
        for mark in marks:
            self.until(lambda mark=mark: self.ended()[0] >= mark)  # type: ignore[misc]
            process = draw.choice(self.processes)
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                self.killed += 1
        self.until(lambda: self.ended()[1])
        for process in self.processes:
            process.join(60)
            assert process.exitcode in (0, -signal.SIGKILL)


def assert_nothing_is_lost(url: str, spec: StudySpec) -> None:
    """Exactly the budget has ended, each place once, telemetry complete, and Optuna agrees."""
    with Database.open(url) as database:
        trials = read_trials(database, spec.name)
        steps = read_steps(database, spec.name)
        theirs = optuna.load_study(study_name=spec.name, storage=database.optuna_storage).trials
    assert sorted(trials["ordinal"]) == list(range(spec.trials))
    assert trials["outcome"].isin(["trained", "stalled", "diverged"]).all()
    settings = trials.assign(place=trials["ordinal"] // spec.seeds).groupby("place")
    assert settings.size().eq(spec.seeds).all()
    setting = ["cell", "strategy", "threshold", "learning_rate"]
    assert settings[setting].nunique(dropna=False).eq(1).all(axis=None)
    assert not settings[setting].first().duplicated().any()
    assert not trials["seed"].duplicated().any()
    recorded = steps.groupby("number")["step"].agg(["count", "min", "max"])
    expected = trials.set_index("number")["steps"]
    assert recorded["count"].to_dict() == expected.to_dict()
    assert (recorded["min"] == 0).all()
    assert (recorded["max"] == recorded["count"] - 1).all()
    by_state = {trial.number: trial.state.name for trial in theirs}
    attached = set(trials["number"])
    assert {by_state[number] for number in attached} == {"COMPLETE"}
    assert {state for number, state in by_state.items() if number not in attached} <= {"FAIL"}
    told = {trial.number: trial.value for trial in theirs}
    np.testing.assert_allclose(trials["objective"], [told[number] for number in trials["number"]])
    assert all("divergence" in trial.constraints for trial in theirs if trial.number in attached)
