import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import optuna
import pytest

from gradstudy.storage import database
from gradstudy.storage.database import Database
from gradstudy.storage.errors import (
    BeingMadeError,
    ForeignDatabaseError,
    NotFoundError,
    SchemaVersionError,
    StorageError,
    UnwritableError,
)


def open_error(path: Path, kind: type[StorageError], *, create: bool = False) -> str:
    with pytest.raises(kind) as caught:
        Database.open(f"sqlite:///{path}", create=create)
    return str(caught.value)


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_a_missing_database_is_not_made_by_looking_at_it(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    sentence = open_error(path, NotFoundError)
    assert sentence == f"there is no database at sqlite:///{path}; `gradstudy launch` makes one"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    sentence = open_error(tmp_path / "deep" / "a.db", NotFoundError, create=True)
    assert sentence == f"there is no folder {tmp_path}/deep to make a.db in; make it first"


@pytest.mark.parametrize("create", [True, False])
def test_another_kind_of_file_is_refused(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, today I lost a gradient.")
    assert open_error(path, ForeignDatabaseError, create=create) == f"{path} is not an SQLite file"
    assert path.read_text().startswith("Dear diary")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in open_error(tmp_path, ForeignDatabaseError, create=True)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    assert "cannot be read as an SQLite file" in open_error(path, ForeignDatabaseError)


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_somebody_elses_database_stays_byte_for_byte(tmp_path: Path, create: bool, journal: str) -> None:
    path = tmp_path / "bank.db"
    execute(path, f"PRAGMA journal_mode = {journal}", "CREATE TABLE account (id INTEGER)")
    before = path.read_bytes()
    sentence = open_error(path, ForeignDatabaseError, create=create)
    assert "holds other tables (account) and none of gradstudy's" in sentence
    assert path.read_bytes() == before


def test_a_database_of_optunas_is_taken_over_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "optuna.db"
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    optuna.create_study(storage=storage, study_name="theirs")
    assert "holds Optuna studies but none of gradstudy's" in open_error(path, ForeignDatabaseError)
    with Database.open(f"sqlite:///{path}", create=True) as db:
        assert optuna.get_all_study_names(db.optuna_storage) == ["theirs"]
    storage.engine.dispose()


def test_tables_that_another_process_is_making_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "made.db"
    execute(path, "CREATE TABLE studies (study_id INTEGER NOT NULL, study_name VARCHAR(512), PRIMARY KEY (study_id))")
    assert "is just being made by another process; try again" in open_error(path, BeingMadeError)

    @contextmanager
    def others_finish(file: Path) -> Iterator[None]:
        execute(file, "DROP TABLE studies")
        monkeypatch.undo()
        Database.open(f"sqlite:///{file}", create=True).close()
        yield

    monkeypatch.setattr(database, "creation_lock", others_finish)
    Database.open(f"sqlite:///{path}", create=True).close()
    Database.open(f"sqlite:///{path}").close()


def test_a_few_tables_named_like_optunas_are_somebody_elses(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    execute(path, "CREATE TABLE trials (id INTEGER)")
    before = path.read_bytes()
    sentence = open_error(path, ForeignDatabaseError, create=True)
    assert "holds other tables (trials) and none of gradstudy's" in sentence
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_tables_of_another_optuna_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "optuna.db"
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    storage.engine.dispose()
    execute(path, "UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    sentence = open_error(path, SchemaVersionError, create=True)
    assert "was made by another version of Optuna; `optuna storage upgrade" in sentence


def test_a_read_only_folder_is_named(folder: Path, lock_out: Callable[[Path], None]) -> None:
    lock_out(folder)
    sentence = open_error(folder / "new.db", UnwritableError, create=True)
    assert sentence.startswith(f"{folder}/new.db cannot be written: ")


def test_a_file_in_a_read_only_folder_is_named(folder: Path, path: Path, lock_out: Callable[[Path], None]) -> None:
    file = folder / "study.db"
    file.write_bytes(path.read_bytes())
    lock_out(folder)
    assert f"{file} cannot be opened: " in open_error(file, UnwritableError, create=True)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_sqlite_is_set_up_for_many_processes(db: Database) -> None:
    for engine in (db.engine, db.optuna_storage.engine):
        with engine.connect() as connection:
            pragmas = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "busy_timeout", "foreign_keys", "synchronous")
            }
        assert pragmas == {"journal_mode": "wal", "busy_timeout": 60000, "foreign_keys": 1, "synchronous": 1}


def test_nothing_but_the_file_is_left_after_closing(tmp_path: Path) -> None:
    with Database.open(f"sqlite:///{tmp_path}/a.db", create=True):
        pass
    assert [item.name for item in tmp_path.iterdir()] == ["a.db"]


def test_a_read_only_file_can_be_read_and_not_launched_on(
    folder: Path, path: Path, lock_out: Callable[[Path], None]
) -> None:
    file = folder / "study.db"
    file.write_bytes(path.read_bytes())
    lock_out(file)
    with Database.open(f"sqlite:///{file}"):
        pass
    assert f"{file} cannot be written: " in open_error(file, UnwritableError, create=True)
