"""Reading Optuna's storages without a byte written, in them or beside them."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import plain_programs as programs
import pytest
from sqlalchemy import create_engine, inspect, make_url

from gradstudy.storage.database import Database
from gradstudy.storage.errors import (
    DamagedError,
    ForeignDatabaseError,
    NotFoundError,
    PlainDatabaseError,
    PlainStudyError,
    UrlError,
    WriteRefusedError,
)
from gradstudy.storage.journal_file import open_journal
from gradstudy.storage.plain_studies import read_plain_study
from gradstudy.storage.studies import find_study


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "optuna.db"
    programs.run(programs.returns_nan, f"sqlite:///{path}", 5)
    return path


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_an_sqlite_file_and_its_folder_stay_as_they_are(file: Path, mode: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    before = everything(file.parent)
    assert len(read_plain_study(f"sqlite:///{file}", "plain").trials) == 5
    with pytest.raises(PlainDatabaseError, match="gradstudy report"):
        Database.open(f"sqlite:///{file}")
    assert everything(file.parent) == before


def test_what_a_killed_program_left_in_the_log_is_read(file: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE studies SET study_name = 'renamed'")
        connection.commit()
        for name in ("optuna.db", "optuna.db-wal"):
            shutil.copy(file.with_name(name), left)
    before = everything(left)
    assert read_plain_study(f"sqlite:///{left / 'optuna.db'}", "renamed").name == "renamed"
    assert everything(left) == before


def test_a_study_is_read_while_its_program_writes(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE studies SET study_name = 'renamed'")
        connection.commit()
        assert len(read_plain_study(f"sqlite:///{file}", "renamed").trials) == 5


@pytest.mark.parametrize("backend", ["postgresql", "mariadb"], indirect=True)
def test_a_server_gets_no_tables_and_no_rows(empty_url: str) -> None:
    storage = optuna.storages.RDBStorage(make_url(empty_url).render_as_string(hide_password=False))
    programs.run(programs.returns_nan, storage, 5)
    storage.remove_session()
    storage.engine.dispose()
    engine = create_engine(empty_url)

    def state() -> dict[str, list[tuple[object, ...]]]:
        with engine.connect() as connection:
            names = inspect(connection).get_table_names()
            return {name: sorted(map(repr, connection.exec_driver_sql(f"SELECT * FROM {name}"))) for name in names}  # type: ignore[misc]

    before = state()
    assert len(read_plain_study(empty_url, "plain").trials) == 5
    assert state() == before
    engine.dispose()


def test_both_kinds_of_studies_may_be_in_one_database(db: Database, url: str, launched: object) -> None:
    programs.run(programs.returns_nan, db.optuna_storage, 5)
    assert find_study(db, "s").name == "s"
    assert len(read_plain_study(url, "plain").trials) == 5
    with pytest.raises(PlainStudyError, match="`gradstudy report plain` reads it"):
        find_study(db, "plain")


def test_what_is_not_there_is_said(file: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there are: plain"):
        read_plain_study(f"sqlite:///{file}", "other")
    for url in (f"sqlite:///{tmp_path}/none.db", f"journal:///{tmp_path}/none.log"):
        with pytest.raises(NotFoundError, match="there is no"):
            read_plain_study(url, "plain")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["optuna.db"]
    with pytest.raises(UrlError, match="journal:///FILE"):
        read_plain_study("journal:///", "plain")


@pytest.mark.parametrize("content", ["a text\n", "[1]\n", '{"op_code": 0}\n', '{"op_code": "x", "worker_id": "w"}\n'])
def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "some.log"
    path.write_text(content)
    with pytest.raises(ForeignDatabaseError, match="not a journal file"):
        read_plain_study(f"journal:///{path}", "plain")


def test_a_journal_is_read_up_to_a_line_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    programs.run(programs.returns_nan, programs.journal(path), 5)
    with path.open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    assert len(read_plain_study(f"journal:///{path}", "plain").trials) == 5


def test_a_journal_that_is_read_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    programs.run(programs.returns_nan, programs.journal(path), 1)
    with pytest.raises(WriteRefusedError):
        optuna.create_study(study_name="other", storage=open_journal(path))


def test_a_broken_file_is_named(file: Path) -> None:
    size = file.stat().st_size
    with file.open("r+b") as broken:
        broken.seek(4096)
        broken.write(b"\xff" * (size - 4096))
    with pytest.raises((DamagedError, ForeignDatabaseError), match=r"optuna\.db"):
        read_plain_study(f"sqlite:///{file}", "plain")
