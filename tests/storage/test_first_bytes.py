"""A second look at a database leaves the locks of the first one: other processes must not take its log away."""

import subprocess
import sys
from pathlib import Path

import pytest

from gradstudy.storage.database import Database
from gradstudy.storage.first_bytes import first_bytes, leave, use
from gradstudy.storage.sqlite import MAGIC
from gradstudy.storage.transactions import reading

WRITES_AND_LEAVES = (
    "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1]); "
    "connection.execute('CREATE TABLE theirs (a)'); connection.commit(); connection.close()"
)


def test_another_process_that_leaves_does_not_take_the_log_from_one_that_has_looked_twice(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with Database.open(f"sqlite:///{path}", create=True) as database:
        with reading(database.engine) as connection:  # which stays open in the pool
            connection.exec_driver_sql("SELECT COUNT(*) FROM gradstudy_study").all()
        with Database.open(f"sqlite:///{path}"):
            pass
        subprocess.run([sys.executable, "-c", WRITES_AND_LEAVES, str(path)], check=True)
        assert path.with_name("study.db-wal").exists()
        with reading(database.engine) as connection:
            assert connection.exec_driver_sql("SELECT COUNT(*) FROM theirs").scalar_one() == 0


def descriptors(path: Path) -> list[str]:
    """Of this process, those of a file."""
    links = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    return [link for link in links if link.startswith(str(path))]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not list descriptors")
def test_what_is_closed_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    Database.open(f"sqlite:///{path}", create=True).close()
    assert descriptors(path) == []
    with Database.open(f"sqlite:///{path}") as database:
        Database.open(f"sqlite:///{path}").close()
        assert descriptors(path)
        database.close()
        database.close()
    assert descriptors(path) == []


def test_the_first_bytes_are_those_of_the_file_that_is_there_now(tmp_path: Path) -> None:
    path, other = tmp_path / "study.db", tmp_path / "other"
    path.write_bytes(b"first bytes")
    in_use = use(path)
    assert first_bytes(path, 5) == b"first"
    other.write_bytes(MAGIC)
    other.replace(path)
    assert first_bytes(path, 99) == MAGIC
    path.write_bytes(b"")
    assert first_bytes(path, 99) == b""
    leave(in_use)
    with pytest.raises(FileNotFoundError):
        first_bytes(other, 5)
