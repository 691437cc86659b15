import os
import subprocess
import sys

import pytest
from waiting import until

from gradstudy.scripts.running.process_pool import WorkerPool
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import RUNNING, count_outcomes
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import parse_spec

SPEC = {
    "name": "pool",
    "task": "copy",
    "task_options": {"max_length": 4, "examples": 200},
    "model": {"hidden_size": 8},
    "steps": 20,
    "batch_size": 8,
    "trials": 12,
    "space": {"strategies": ["none", "norm"], "learning_rate": [0.01, 300]},
}


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/pool.db"


def test_two_worker_processes_run_exactly_the_budget(url):
    with Database.open(url, create=True) as database:
        create_or_resume(database, parse_spec(SPEC))
        with WorkerPool(2, url, ["pool", "--slots", "3"]) as pool:
            pool.begin()
            pool.wait()
            assert pool.failures() == []
        trials = read_trials(database, "pool")
        assert sorted(trials["ordinal"]) == list(range(12))
        assert (trials["state"] == "COMPLETE").all()


def test_workers_that_wait_end_in_order_once_one_has_found_all_trials_ended(url):
    with Database.open(url, create=True) as database:
        create_or_resume(database, parse_spec(SPEC | {"trials": 1}))
        with WorkerPool(2, url, ["pool"]) as pool:
            pool.begin()
            while pool.running():
                pool.wait(60)
            assert pool.failures() == []
        assert (read_trials(database, "pool")["state"] == "COMPLETE").all()


def test_a_worker_imports_nothing_for_lying_in_the_current_folder(url, tmp_path, monkeypatch):
    (tmp_path / "random.py").write_text("raise SystemExit('a stranger')\n")
    monkeypatch.chdir(tmp_path)
    with Database.open(url, create=True) as database:
        create_or_resume(database, parse_spec(SPEC | {"trials": 1}))
    with WorkerPool(1, url, ["pool"]) as pool:
        pool.begin()
        pool.wait()
        assert pool.failures() == []


def test_a_worker_that_fails_is_reported_with_its_last_lines(url):
    with WorkerPool(1, url, ["pool"]) as pool:
        pool.begin()
        pool.wait()
        (failure,) = pool.failures()
    assert "worker 0 ended with exit code 2" in failure
    assert "there is no database at" in failure


@pytest.mark.slow
def test_workers_stop_in_order_when_their_launcher_is_killed(url):
    # None diverges, and none comes to its end within a test.
    space = {"strategies": ["none"], "learning_rate": [0.001, 0.002]}
    with Database.open(url, create=True) as database:
        record = create_or_resume(database, parse_spec(SPEC | {"steps": 1_000_000, "trials": 4, "space": space}))
        code = (
            "import sys; from gradstudy.scripts.running.process_pool import WorkerPool\n"
            f"pool = WorkerPool(1, {url!r}, ['pool', '--slots', '2'])\n"
            "pool.begin(); print(pool.pids()[0], flush=True); pool.wait()"
        )
        launcher = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert launcher.stdout is not None
        worker = int(launcher.stdout.readline())
        try:
            until(lambda: count_outcomes(database.engine, record)[RUNNING] >= 2, or_ends=launcher.poll)
        finally:
            launcher.kill()
        launcher.wait()
        launcher.stdout.close()
        until(lambda: not count_outcomes(database.engine, record)[RUNNING])
        until(lambda: not is_alive(worker))
