"""A second look at a database leaves the locks of the first one: other processes must not take its log away."""

import subprocess
import sys
from pathlib import Path

from gradstudy.storage.database import Database
from gradstudy.storage.first_bytes import MOST, first_bytes
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


def test_the_first_bytes_are_those_of_the_file_that_is_there_now_of_however_many(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(MOST + 5)]
    for file in files:
        file.write_bytes(file.name.encode() * 9)
    assert [first_bytes(file, 5) for file in files] == [(file.name.encode() * 9)[:5] for file in files]
    (tmp_path / "new").write_bytes(MAGIC)
    (tmp_path / "new").replace(files[-1])
    assert first_bytes(files[-1], 99) == MAGIC
    files[-1].write_bytes(b"")
    assert first_bytes(files[-1], 99) == b""
