"""Behind PgBouncer a transaction has a session of the server, and the next one maybe another."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from racing import claim_all, make_database, run_together
from sqlalchemy import make_url, text
from waiting import until

from gradstudy.storage.database import Database
from gradstudy.storage.embedded import EmbeddedServer
from gradstudy.storage.postgresql import IDLE_SECONDS
from gradstudy.storage.studies import Versions, create_study

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SESSIONS = 3
"""Of the server, for all clients together."""
CLIENTS = 8


@pytest.fixture
def bouncer(postgresql: EmbeddedServer, empty_postgresql_url: str) -> Iterator[str]:
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
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
            f"default_pool_size = {SESSIONS}\nmax_client_conn = 1000\n"
        )
        owner = postgresql.folder.stat().st_uid  # root may not run it
        with subprocess.Popen([PROGRAM, "-q", str(settings)], user=owner) as process:
            try:
                until(lambda: _listens(port), or_ends=process.poll)
                tcp = url.set(host="127.0.0.1", port=port, query={}, drivername="postgresql+psycopg")
                yield tcp.render_as_string(hide_password=False)
            finally:
                process.kill()


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
