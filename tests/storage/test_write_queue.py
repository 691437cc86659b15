"""Who waits to write to an SQLite file is served in the order of coming, whatever process it is of."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from waiting import until

from gradstudy.storage.database import Database
from gradstudy.storage.transactions import reading, writing
from gradstudy.storage.workers import register_worker

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])

LOCKS = Path("/proc/locks")
MANY = 12


def waiting_for(path: Path) -> int:
    """How many wait for their turn, by the kernel's own list (see proc_locks(5))."""
    inode = Path(f"{path}-turn").stat().st_ino
    return sum("-> FLOCK" in line and f":{inode} " in line for line in LOCKS.read_text().splitlines())


@pytest.mark.skipif(not LOCKS.exists(), reason="the kernel lists its locks on Linux only")
def test_writers_are_served_in_the_order_in_which_they_came(db: Database, path: Path) -> None:
    with ThreadPoolExecutor(MANY) as pool:
        others = [Database.open(db.url.render_as_string()) for _ in range(MANY)]
        with writing(db.engine) as connection:
            connection.execute(text("DELETE FROM gradstudy_worker"))
            for place, other in enumerate(others):
                pool.submit(register_worker, other.engine, f"came {place}", 1, "cpu")
                until(lambda came=place + 1: waiting_for(path) == came)
    for other in others:
        other.close()
    with reading(db.engine) as connection:
        served = connection.scalars(text("SELECT host FROM gradstudy_worker ORDER BY worker_id")).all()
    assert served == [f"came {place}" for place in range(MANY)]


def test_a_process_that_is_killed_in_its_turn_keeps_nobody_waiting(db: Database) -> None:
    program = (
        "import sys, signal; from gradstudy.storage.database import Database; "
        "from gradstudy.storage.transactions import writing\n"
        "with Database.open(sys.argv[1]) as db, writing(db.engine): print('writes', flush=True); signal.pause()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program, db.url.render_as_string()], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    with writer.stdout:
        assert writer.stdout.readline() == "writes\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert register_worker(db.engine, "next", 1, "cpu") == 1


def test_a_turn_ends_with_a_transaction_that_fails(db: Database) -> None:
    with pytest.raises(RuntimeError), writing(db.engine):
        raise RuntimeError
    with Database.open(db.url.render_as_string()) as other:
        register_worker(other.engine, "next", 1, "cpu")


def test_reading_waits_for_nobody(db: Database) -> None:
    with Database.open(db.url.render_as_string()) as other, writing(db.engine), reading(other.engine) as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM gradstudy_worker")) == 0
