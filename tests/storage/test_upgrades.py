"""Databases that an older or newer gradstudy has made. ``databases/`` holds one of each released schema."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from json import dumps
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from ended_trials import assert_sums_are_counts
from sqlalchemy import JSON, Column, Connection, MetaData, create_engine, insert, select, text

from gradstudy.storage.database import Database
from gradstudy.storage.errors import SchemaVersionError
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.storage.migrate import HEAD, config
from gradstudy.storage.optuna_storage import open_optuna_storage
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.studies import list_extensions, list_studies
from gradstudy.storage.urls import parse

DATABASES = Path(__file__).with_name("databases")
RELEASED = sorted(path.stem.removeprefix("v") for path in DATABASES.glob("v*.sql"))
HISTORIES = {"alembic_version", "version_info", "gradstudy_alembic_version"}

Contents = dict[str, list[dict[str, Any]]]


@pytest.fixture(params=RELEASED)
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def released_file(tmp_path: Path, revision: str) -> Path:
    """The database of a released schema: a study of four trials, two of which have ended."""
    path = tmp_path / "released.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DATABASES.joinpath(f"v{revision}.sql").read_text())
    return path


@pytest.fixture
def old_url(released_file: Path, empty_url: str, backend: str, revision: str) -> str:
    """The same on each backend: the file itself, or a server's tables made by the migrations of then."""
    if backend == "sqlite":
        return f"sqlite:///{released_file}"
    storage = open_optuna_storage(parse(empty_url), make_tables=True)
    storage.scoped_session.remove()
    storage.engine.dispose()
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        command.upgrade(config(connection), revision)
        write_contents(connection, contents(f"sqlite:///{released_file}"))
    engine.dispose()
    return empty_url


def contents(url: str) -> Contents:
    """The rows of every table, except those that name its version."""
    engine = create_engine(url)
    with engine.connect() as connection:
        tables = MetaData()
        tables.reflect(connection)
        found = {
            table.name: [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
            for table in tables.sorted_tables
            if table.name not in HISTORIES
        }
    engine.dispose()
    return found


def write_contents(connection: Connection, rows: Contents) -> None:
    tables = MetaData()
    tables.reflect(connection, only=rows)
    for table in tables.sorted_tables:
        made = [{name: _fitting(table.c[name], value) for name, value in row.items()} for row in rows[table.name]]
        if made:
            connection.execute(insert(table), made)


def _fitting(column: Column[Any], value: Any) -> Any:
    """MariaDB keeps JSON as text, and says so."""
    return dumps(value) if isinstance(value, dict) and not isinstance(column.type, JSON) else value


def test_there_is_a_database_of_each_released_schema(db: Database) -> None:
    with db.engine.connect() as connection:
        revisions = {script.revision for script in ScriptDirectory.from_config(config(connection)).walk_revisions()}
    assert {*RELEASED, HEAD} == revisions


@pytest.mark.sampled
def test_an_older_database_keeps_every_row(old_url: str, revision: str) -> None:
    before = contents(old_url)
    assert sum(map(len, before.values())) > 20
    with pytest.raises(SchemaVersionError) as caught:
        Database.open(old_url)
    assert f"was made by an older gradstudy (tables {revision}, now {HEAD}); `gradstudy launch` upgrades it" in str(
        caught.value
    )
    assert contents(old_url) == before
    Database.open(old_url, create=True).close()
    after = contents(old_url)
    for table, rows in before.items():
        kept = [{name: row[name] for name in rows[0]} for row in after[table]] if rows else after[table]
        assert kept == rows


@pytest.mark.sampled
def test_an_upgraded_database_is_as_good_as_a_new_one(old_url: str) -> None:
    with Database.open(old_url, create=True) as db:
        with db.engine.begin() as connection:
            command.check(config(connection))
            if db.path is not None:
                assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
                assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        assert {len(study.identity) for study in list_studies(db)} == {32}
        trials = read_trials(db, "first")
        assert trials["outcome"].tolist()[:2] == ["trained", "diverged"]
        assert trials["seed"].tolist() == [9007199254740993, 2, 3]
        assert trials["state"].tolist() == ["COMPLETE", "COMPLETE", "RUNNING"]
        assert read_steps(db, "first")["loss"].isna().tolist() == [False, False, False, True]


@pytest.mark.parametrize("revision", ["0008"])
def test_a_study_that_extended_another_one_still_does(old_url: str) -> None:
    with Database.open(old_url, create=True) as db:
        first, longer = list_studies(db)
        assert (first.extends, longer.extends) == (None, first.identity)
        assert list_extensions(db, first) == [longer]
        with db.engine.connect() as connection:
            steps = connection.exec_driver_sql("SELECT steps FROM gradstudy_study ORDER BY study_id").scalars().all()
        assert steps == [None, 1200]


@pytest.mark.parametrize("revision", ["0010"])
def test_the_sums_of_an_older_database_are_what_its_rows_say(old_url: str) -> None:
    engine = create_engine(old_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE gradstudy_trial SET excluded = 'why' WHERE outcome = 'diverged'"))
    engine.dispose()
    with Database.open(old_url, create=True) as db:
        assert_sums_are_counts(db)
        study = list_studies(db)[0]
        counts = {"trained": 1, "excluded": 1, "remaining": 2}
        assert {name: count for name, count in count_outcomes(db.engine, study).items() if count} == counts


@pytest.mark.parametrize("revision", ["0001", "0010"])
def test_no_database_is_upgraded_under_workers_that_run(old_url: str) -> None:
    now = {"now": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.000000}"}  # as databases have times
    engine = create_engine(old_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE gradstudy_worker SET stopped_at = NULL, last_seen_at = :now"), now)
    before = contents(old_url)
    with pytest.raises(SchemaVersionError, match="older gradstudy, and 1 of its workers run; end them first"):
        Database.open(old_url, create=True)
    assert contents(old_url) == before
    with engine.begin() as connection:
        connection.execute(text("UPDATE gradstudy_worker SET stopped_at = :now"), now)
    engine.dispose()
    Database.open(old_url, create=True).close()


def test_a_newer_database_is_refused(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE gradstudy_alembic_version SET version_num = '9999'"))
    engine.dispose()
    before = contents(url)
    for create in (True, False):
        with pytest.raises(SchemaVersionError) as caught:
            Database.open(url, create=create)
        assert f"was made by a newer gradstudy (tables 9999, this one knows {HEAD})" in str(caught.value)
    assert contents(url) == before
