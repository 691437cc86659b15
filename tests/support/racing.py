"""Real processes that do the same thing at the same moment."""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.synchronize import Barrier

from waiting import PATIENCE_SECONDS

CONTEXT = multiprocessing.get_context("forkserver")
# Forked from one that has the slow imports behind it, they meet more closely, and sooner.
CONTEXT.set_forkserver_preload(["optuna", "alembic.command", "gradstudy.storage.database", "racing"])


def run_together(processes: int, do: Callable[[str], list[int]], url: str) -> list[list[int]]:
    """Call ``do`` with a URL in so many processes at once; their results, in any order."""
    barrier = CONTEXT.Barrier(processes)
    results = CONTEXT.SimpleQueue()
    started = [CONTEXT.Process(target=_run, args=(barrier, do, url, results.put)) for _ in range(processes)]
    for process in started:
        process.start()
    for process in started:
        process.join(PATIENCE_SECONDS)
    assert [process.exitcode for process in started] == [0] * processes
    return [results.get() for _ in started]


def _run(barrier: Barrier, do: Callable[[str], list[int]], url: str, put: Callable[[list[int]], None]) -> None:
    barrier.wait(PATIENCE_SECONDS)
    put(do(url))


def make_database(url: str) -> list[int]:
    """Make what is missing; the number of times that the tables were found to be in order afterwards."""
    from gradstudy.storage.database import Database

    Database.open(url, create=True).close()
    Database.open(url).close()
    return [1]


def claim_all(url: str) -> list[int]:
    """Claim trials of study s until there is none, giving the first suitable one back; the ordinals."""
    from one_trial import claim_trial

    from gradstudy.storage.claims import give_back
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import find_study
    from gradstudy.storage.workers import register_worker

    claimed, given = [], False
    with Database.open(url) as db:
        study = find_study(db, "s")
        worker = register_worker(db.engine, "here", 1, "cpu")
        while claim := claim_trial(db.engine, study, worker, int):
            if claim.ordinal % 7 == 3 and not given:
                given = give_back(db.engine, claim)
                assert given
            else:
                claimed.append(claim.ordinal)
    return claimed


def begin_all(url: str) -> list[int]:
    """Claim and begin trials of study s until there is none; their numbers in Optuna."""
    from one_trial import begin_trial, claim_trial

    from gradstudy.storage.database import Database
    from gradstudy.storage.queue import SettingRow
    from gradstudy.storage.studies import find_study
    from gradstudy.storage.workers import register_worker

    begun = []
    with Database.open(url) as db:
        study = find_study(db, "s")
        worker = register_worker(db.engine, "here", 1, "cpu")
        while claim := claim_trial(db.engine, study, worker, int):
            setting = SettingRow(cell="lstm", strategy="norm", threshold=1.0, learning_rate=0.1)
            begun.append(begin_trial(db.engine, claim, setting).trial_id or 0)
        return [db.optuna_storage.get_trial(trial_id).number for trial_id in begun]


def keep_own_number(url: str) -> list[int]:
    """Put this process's number into study s unless another was faster; the one that is there."""
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import find_study
    from gradstudy.storage.study_attributes import keep_first

    with Database.open(url) as db:
        return [keep_first(db, find_study(db, "s").study_id, "a", os.getpid())]


def begin_next_rung(url: str) -> list[int]:
    """Begin the next rung of study s unless another was faster; its number and how many runs it has."""
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import find_study
    from gradstudy.study.horizon.course import next_rung

    with Database.open(url) as db:
        extension = next_rung(db, find_study(db, "s"))
        assert extension is not None
        return [extension.record.study_id, extension.record.budget]


def record_runs(url: str) -> list[int]:
    """Record runs into study r, which the first of all makes; the numbers of their trials."""
    from gradstudy.study.integrations import record_run

    numbers = []
    for place in range(RECORDED):
        with record_run("r", storage=url, learning_rate=0.1, seed=place) as run:
            for step in range(30):
                run.step(4 - 0.1 * step, grad_norm=1.0)
        numbers.append(run.number)
    return numbers


RECORDED = 3
