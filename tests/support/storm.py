"""A storm: real worker processes that are killed at random while they run a study, and what must hold after it.

A worker goes on after each trial that has ended only when the storm lets it: so what is to happen in the middle of a
study does, however fast the machine is.
"""

import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Semaphore
from typing import Self

import numpy as np
import optuna
import torch
from ended_trials import assert_sums_are_counts
from sqlalchemy.exc import DBAPIError
from waiting import PATIENCE_SECONDS, until

from gradstudy.storage.database import Database
from gradstudy.storage.errors import StorageError
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
from gradstudy.storage.results import TrialResult
from gradstudy.storage.studies import find_study
from gradstudy.study.search.phases import Phases
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.worker.job import Job
from gradstudy.study.worker.worker import Worker

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["storm"])  # so that a worker starts in a moment, not in seconds


class Teller:
    """A listener that tells when the database is waited for, and goes on after a trial when it may."""

    def __init__(self, waits: "multiprocessing.Queue[str]", permits: Semaphore) -> None:
        self._waits = waits
        self._permits = permits

    def started(self, ordinal: int) -> None:
        pass

    def finished(self, ordinal: int, result: TrialResult) -> None:
        self._permits.acquire()

    def waiting(self, message: str) -> None:
        self._waits.put(message)


def work(
    url: str,
    name: str,
    slots: int,
    workers: int,
    waits: "multiprocessing.Queue[str]",
    permits: Semaphore,
    optuna_proxy: str | None,
) -> None:
    """What a worker process does."""
    torch.set_num_threads(1)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Database.open(url, optuna_proxy=optuna_proxy) as database:
        job, listener = Job.of(database, find_study(database, name)), Teller(waits, permits)
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
        deadline: float = PATIENCE_SECONDS,
        optuna_proxy: str | None = None,
        target: Callable[..., None] = work,
    ) -> None:
        self.url = url
        self.name = name
        self.waits: multiprocessing.Queue[str] = CONTEXT.Queue()
        self.ahead = workers * slots
        """How many trials may have ended beyond those after which workers were let go on."""
        self._deadline, self._target = deadline, target
        self._permits = CONTEXT.Semaphore(0)
        self._arguments = (url, name, slots, workers, self.waits, self._permits, optuna_proxy)
        self.processes = [self._start() for _ in range(workers)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, signal.SIGKILL)
            process.join()

    def _start(self) -> ForkServerProcess:
        process = CONTEXT.Process(target=self._target, args=self._arguments)
        process.start()
        return process

    def _counts(self) -> tuple[int, int] | None:
        """How many trials have ended, and how many have not; None while the database does not answer."""
        with suppress(StorageError, DBAPIError), Database.open(self.url) as database:
            counts = count_outcomes(database.engine, find_study(database, self.name))
            left = counts[REMAINING] + counts[RUNNING]
            return sum(counts.values()) - left, left
        return None

    def is_done(self) -> bool:
        """Whether every trial has ended."""
        counts = self._counts()
        return counts is not None and counts[1] == 0

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds, replacing workers that are gone."""

        def holds() -> bool:
            for number, process in enumerate(self.processes):
                if not process.is_alive() and not self.is_done():
                    process.join()
                    self.processes[number] = self._start()
            return condition()

        until(holds, within=self._deadline)

    def until_ended(self, trials: int) -> None:
        """Let workers go on until so many trials have ended; then they wait before at most ``ahead`` more have."""

        def have_ended() -> bool:
            counts = self._counts()
            if counts is None:
                return False
            self.let_go(trials - counts[0] - self._permits.get_value())
            return counts[0] >= trials

        self.until(have_ended)

    def let_go(self, trials: int) -> None:
        """Let workers go on after so many trials."""
        for _ in range(trials):
            self._permits.release()

    def until_done(self, trials: int) -> None:
        """Let the study of so many trials end, and every worker with it."""
        self.let_go(trials)
        self.until(self.is_done)
        for process in self.processes:
            process.join(PATIENCE_SECONDS)
            assert process.exitcode in (0, -signal.SIGKILL)

    def kill_at_random(self, kills: int, seed: int, trials: int) -> None:
        """Kill a worker each time that a random number of further trials has ended, and let the study end."""
        draw = random.Random(seed)
        for mark in sorted(draw.sample(range(1, trials - self.ahead), kills)):
            self.until_ended(mark)
            process = draw.choice(self.processes)
            assert process.pid is not None
            assert process.is_alive()
            process.kill()
            process.join()
        self.until_done(trials)


def assert_nothing_is_lost(url: str, spec: StudySpec) -> None:
    """Exactly the budget has ended, each place once, telemetry complete, and Optuna agrees."""
    with Database.open(url) as database:
        trials = read_trials(database, spec.name)
        steps = read_steps(database, spec.name)
        theirs = optuna.load_study(study_name=spec.name, storage=database.optuna_storage).trials
        assert_sums_are_counts(database)
    assert sorted(trials["ordinal"]) == list(range(spec.trials))
    assert trials["outcome"].isin(["trained", "stalled", "diverged"]).all()
    settings = trials.assign(place=trials["ordinal"] // spec.seeds).groupby("place")
    assert settings.size().eq(spec.seeds).all()
    setting = ["cell", "strategy", "threshold", "learning_rate"]
    assert settings[setting].nunique(dropna=False).eq(1).all(axis=None)
    again = settings[setting].first().duplicated()
    if spec.sampler == "auto":
        phases = Phases.of(len(again))
        assert again[phases.searched :].mean() > 0.5  # fresh runs: of settings that were there before
        assert again[: phases.spread].sum() == 0
    else:
        assert not again.any()
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
