"""Behind PgBouncer a transaction has a session of the server, and the next one maybe another."""

import os
import resource
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from many_workers import PROCESSES, WORKERS, work_in_threads
from racing import claim_all, make_database, run_together
from sqlalchemy import make_url, text
from waiting import until

from gradstudy.storage.database import Database
from gradstudy.storage.embedded import EmbeddedServer
from gradstudy.storage.postgresql import IDLE_SECONDS
from gradstudy.storage.studies import Versions, create_study

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SESSIONS = 3
CLIENTS = 8
BUDGET = 3000


@pytest.fixture
def sessions(request: pytest.FixtureRequest) -> int:
    """Of the server, for all clients together."""
    return int(getattr(request, "param", SESSIONS))


@pytest.fixture
def bouncer(postgresql: EmbeddedServer, empty_postgresql_url: str, sessions: int) -> Iterator[str]:
    """The URL of an empty database behind PgBouncer, which hands out sessions for a transaction each."""
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed (Debian: pgbouncer)")
    url = make_url(empty_postgresql_url)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="gradstudy-") as folder:
        Path(folder).chmod(0o755)
        settings = Path(folder, "pgbouncer.ini")
        settings.write_text(
            f"[databases]\n* = host={url.query['host']} user={url.username}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\nadmin_users = {url.username}\n"
            f"pool_mode = transaction\ndefault_pool_size = {sessions}\nmax_client_conn = {2 * WORKERS}\n"
        )
        owner = postgresql.folder.stat().st_uid  # root may not run it
        with many_files(), subprocess.Popen([PROGRAM, "-q", str(settings)], user=owner) as process:
            try:
                until(lambda: _listens(port), or_ends=process.poll)
                tcp = url.set(host="127.0.0.1", port=port, query={}, drivername="postgresql+psycopg")
                yield tcp.render_as_string(hide_password=False)
            finally:
                process.kill()


@contextmanager
def many_files() -> Iterator[None]:
    """Let what is started here open as many files as it may: a connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_processes_with_few_sessions_make_one_database_and_share_its_budget(bouncer: str) -> None:
    assert run_together(CLIENTS, make_database, bouncer) == [[1]] * CLIENTS
    with Database.open(bouncer) as db:
        create_study(db, "s", {}, 60, Versions(gradstudy="0", optuna="5", torch="2"))
    claimed = [ordinal for ordinals in run_together(CLIENTS, claim_all, bouncer) for ordinal in ordinals]
    assert sorted(claimed) == list(range(60))


def test_a_transaction_leaves_nothing_in_its_session(bouncer: str) -> None:
    with Database.open(bouncer, create=True) as db:
        with db.engine.begin() as connection:
            assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == f"{IDLE_SECONDS}s"
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "0"
            assert connection.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0
            assert connection.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")) == 0


@pytest.mark.soak
@pytest.mark.parametrize("sessions", [20], indirect=True)
def test_a_thousand_workers_run_every_trial_once_through_twenty_sessions(
    bouncer: str, sessions: int, postgresql: EmbeddedServer
) -> None:
    with Database.open(bouncer, create=True) as db:
        create_study(db, "s", {}, BUDGET, Versions(gradstudy="0", optuna="5", torch="2"))
    recorded = [ordinal for ordinals in run_together(PROCESSES, work_in_threads, bouncer) for ordinal in ordinals]
    assert sorted(recorded) == list(range(BUDGET))
    with Database.open(bouncer) as db, db.engine.connect() as connection:
        trials = "SELECT COUNT(*), COUNT(DISTINCT ordinal), COUNT(DISTINCT worker_id) FROM gradstudy_trial"
        rows, ordinals, workers = connection.execute(text(f"{trials} WHERE outcome = 'trained'")).one()
        assert (rows, ordinals) == (BUDGET, BUDGET)
        assert workers > WORKERS / 2
        assert connection.scalar(text("SELECT COUNT(*) FROM gradstudy_worker")) == WORKERS
        assert connection.scalar(text("SELECT COUNT(*) FROM gradstudy_step")) == 2 * BUDGET
        assert connection.scalar(text("SELECT COUNT(*) FROM trials WHERE state = 'COMPLETE'")) == BUDGET
        running = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()"
        assert int(connection.scalar(text(running)) or 0) <= sessions
