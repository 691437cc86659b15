"""Workers killed, paused and cut off from their database: whatever happens, exactly the budget is run."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import OperationalError
from storm import Storm, assert_nothing_is_lost
from waiting import PATIENCE_SECONDS, until

from gradstudy.storage.database import Database
from gradstudy.storage.embedded import EmbeddedServer
from gradstudy.storage.errors import UnavailableError
from gradstudy.storage.optuna_proxy import serving_proxy
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import StudySpec


def study(url: str, **changes: Any) -> StudySpec:
    """Create a study of short trials."""
    values = {
        "name": "storm",
        "task": "copy",
        "task_options": {"max_length": 4, "examples": 200},
        "model": {"hidden_size": 4},
        "steps": 12,
        "batch_size": 4,
        "trials": 60,
        "sampler": "qmc",
        "space": {"strategies": ["none", "norm", "value"], "learning_rate": [0.001, 300]},
    }
    spec = StudySpec.model_validate(values | changes)
    with Database.open(url, create=True) as database:
        create_or_resume(database, spec)
    return spec


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.mark.soak
def test_workers_that_are_killed_lose_nothing(url: str) -> None:
    spec = study(url, sampler="auto")
    with Storm(url, spec.name, workers=3) as storm:
        storm.kill_at_random(6, seed=1, trials=spec.trials)
    assert_nothing_is_lost(url, spec)


@pytest.mark.soak
def test_replicates_share_a_setting_of_tpes_though_workers_are_killed(postgresql_url: str) -> None:
    spec = study(postgresql_url, sampler="tpe", seeds=4, trials=48)
    with Storm(postgresql_url, spec.name, workers=3) as storm:
        storm.kill_at_random(3, seed=2, trials=spec.trials)
    assert_nothing_is_lost(postgresql_url, spec)


IN_A_STATEMENT = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND state = 'active' AND wait_event_type = 'Client'"
)
"""Connections whose server waits for their client in the middle of a statement."""


@pytest.mark.soak
def test_a_worker_that_was_paused_for_too_long_finds_out_and_does_no_harm(url: str) -> None:
    spec = study(url, trials=20, steps=100)
    with Storm(url, spec.name, workers=2) as storm:
        storm.until_ended(2)
        paused = storm.processes[0].pid
        assert paused is not None
        storm.until(lambda: running(url, paused) > 0 and pause(url, paused))
        storm.let_go(spec.trials)
        storm.until(storm.is_done)
        os.kill(paused, signal.SIGCONT)
        storm.until_done(spec.trials)
        assert [process.exitcode for process in storm.processes] == [0, 0]
    assert_nothing_is_lost(url, spec)


def pause(url: str, pid: int) -> bool:
    """Stop a process and let its grace period pass; False when it was just writing.

    SQLite has one lock for all. PostgreSQL ends a transaction that waits for its next statement, but not one that waits
    for the rest of a statement.
    """
    os.kill(pid, signal.SIGSTOP)
    options = {"connect_args": {"timeout": 0.2}} if url.startswith("sqlite") else {}
    engine = create_engine(url, poolclass=NullPool, **options)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql" and connection.exec_driver_sql(IN_A_STATEMENT).scalar_one():
                os.kill(pid, signal.SIGCONT)
                return False
            connection.exec_driver_sql(
                f"UPDATE gradstudy_worker SET last_seen_at = '2001-01-01 00:00:00.000000' WHERE pid = {pid}"
            )
    except OperationalError:
        os.kill(pid, signal.SIGCONT)
        return False
    return True


@pytest.mark.soak
def test_workers_wait_for_a_database_that_is_stopped_and_started(server_folder: Path) -> None:
    server = EmbeddedServer.start(server_folder / "stopped")
    try:
        spec = study(server.url, trials=40, steps=100)
        with Storm(server.url, spec.name, workers=2) as storm:
            for share in (1, 2, 3):
                storm.until_ended(share * spec.trials // 5)
                server.stop()
                storm.let_go(len(storm.processes))
                storm.waits.get(timeout=PATIENCE_SECONDS)  # a worker says that it waits
                server = EmbeddedServer.start(server_folder / "stopped")
            storm.kill_at_random(1, seed=3, trials=spec.trials)
        assert_nothing_is_lost(server.url, spec)
    finally:
        server.stop()


@pytest.mark.soak
def test_workers_go_through_optunas_proxy_and_wait_for_it(postgresql_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    spec = study(postgresql_url, sampler="tpe", trials=30, steps=60)  # which reads what Optuna has
    with Database.open(postgresql_url) as database, ExitStack() as stack:
        with serving_proxy(database.optuna_storage, address):
            storm = stack.enter_context(Storm(postgresql_url, spec.name, workers=2, optuna_proxy=address))
            storm.until_ended(5)
        storm.let_go(len(storm.processes))
        assert "Connection refused" in storm.waits.get(timeout=PATIENCE_SECONDS)
        with serving_proxy(database.optuna_storage, address):
            storm.kill_at_random(1, seed=5, trials=spec.trials)
    assert_nothing_is_lost(postgresql_url, spec)


def test_a_proxy_that_is_not_there_is_named(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradstudy.storage.optuna_proxy.SECONDS_TO_ANSWER", 0.5)
    with (
        Database.open(sqlite_url, create=True, optuna_proxy="127.0.0.1:1") as database,
        pytest.raises(UnavailableError, match=r"no proxy of Optuna's answers at 127\.0\.0\.1:1$"),
    ):
        _ = database.optuna_storage


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user cannot mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.soak
def test_workers_wait_for_room_on_a_full_disk(small_disk: Path) -> None:
    url = f"sqlite:///{small_disk}/study.db"
    spec = study(url, trials=30, steps=60)
    with Storm(url, spec.name, workers=2) as storm:
        storm.until_ended(5)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        storm.let_go(len(storm.processes))
        message = storm.waits.get(timeout=PATIENCE_SECONDS)
        assert "full" in message or "disk" in message
        filler.unlink()
        storm.until_done(spec.trials)
    assert_nothing_is_lost(url, spec)


@pytest.mark.slow
def test_ctrl_c_in_the_launcher_gives_everything_back(sqlite_url: str) -> None:
    # None diverges, and none comes to its end within a test.
    spec = study(sqlite_url, steps=1_000_000, space={"strategies": ["none"], "learning_rate": [0.001, 0.002]})
    command = [sys.executable, "-m", "gradstudy.scripts.main", "launch", spec.name, "--workers=2", "--slots=2"]
    environment = os.environ | {"GRADSTUDY_STORAGE": sqlite_url}
    launcher = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True)
    try:
        until(lambda: running(sqlite_url) >= 3, or_ends=launcher.poll)  # so both workers have some
        launcher.send_signal(signal.SIGINT)
        output, _ = launcher.communicate(timeout=PATIENCE_SECONDS)
    finally:
        launcher.kill()
    assert launcher.returncode == 130, output
    assert "the same command goes on" in output
    assert running(sqlite_url) == 0


def running(url: str, pid: int | None = None) -> int:
    """Trials that a worker holds: the process ``pid``, or any."""
    query = "SELECT COUNT(*) FROM gradstudy_trial JOIN gradstudy_worker USING (worker_id) WHERE outcome IS NULL"
    with Database.open(url) as database, database.engine.connect() as connection:
        return int(connection.exec_driver_sql(query if pid is None else f"{query} AND pid = {pid}").scalar_one())
