from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradstudy.storage.claims import Claim
from gradstudy.storage.database import Database
from gradstudy.storage.errors import DamagedError, QueryError, QueryTimeoutError, WriteRefusedError
from gradstudy.storage.queries import run_query
from gradstudy.storage.query_clock import CHUNK

COUNT_FOR_EVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT "


@pytest.fixture
def backend() -> str:
    """Servers have tests of their own."""
    return "sqlite"


def query(db: Database, sql: str, limit_seconds: float | None = None) -> tuple[list[str], list[list[Any]]]:
    with run_query(db, sql, limit_seconds=limit_seconds) as answer:
        return answer.columns, [list(chunk) for chunk in answer.chunks]


def test_a_query_gives_columns_and_rows(db: Database, run: Callable[..., Claim]) -> None:
    run("diverged", reason="blow_up")
    answer = query(db, "SELECT number AS n, outcome, reason FROM trial_result WHERE cell LIKE 'l%';")
    assert answer == (["n", "outcome", "reason"], [[(0, "diverged", "blow_up")]])


def test_rows_come_in_chunks(db: Database) -> None:
    _, chunks = query(db, f"{COUNT_FOR_EVER} i FROM n LIMIT {CHUNK + 1}")
    assert [len(chunk) for chunk in chunks] == [CHUNK, 1]


def test_no_rows_still_have_columns(db: Database) -> None:
    assert query(db, "SELECT study FROM trial_result") == (["study"], [])


@pytest.mark.parametrize(
    "write",
    [
        "DROP TABLE gradstudy_trial",
        "DELETE FROM trials",
        "UPDATE gradstudy_trial SET outcome = 'trained' RETURNING id",
        "INSERT INTO gradstudy_worker (host) VALUES ('x')",
        "ATTACH DATABASE '{folder}/other.db' AS other",
        "VACUUM INTO '{folder}/other.db'",
        "PRAGMA user_version = 7",
    ],
)
def test_the_database_refuses_to_be_changed(
    db: Database, run: Callable[..., Claim], tmp_path: Path, write: str
) -> None:
    run("diverged")
    before = list(db.engine.raw_connection().driver_connection.iterdump())  # type: ignore[union-attr]
    with pytest.raises(WriteRefusedError, match="only queries that read are allowed here"):
        query(db, write.format(folder=tmp_path))
    assert list(db.engine.raw_connection().driver_connection.iterdump()) == before  # type: ignore[union-attr]
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("SELEC 1", 'the database cannot run this: near "SELEC": syntax error'),
        ("SELECT * FROM nosuch", "the database cannot run this: no such table: nosuch"),
        ("SELECT 1; DROP TABLE trials", "give one statement at a time"),
        ("", "the statement gives no rows; write a SELECT"),
        ("BEGIN", "the statement gives no rows; write a SELECT"),
    ],
)
def test_a_wrong_statement_is_explained(db: Database, sql: str, sentence: str) -> None:
    with pytest.raises(QueryError) as caught:
        query(db, sql)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("what", ["max(i) FROM n", "i FROM n WHERE i % 100000 = 0"])
def test_a_query_that_takes_too_long_is_stopped(db: Database, what: str) -> None:
    with pytest.raises(QueryTimeoutError, match=r"the query took longer than 0.05 seconds and was stopped"):
        query(db, COUNT_FOR_EVER + what, limit_seconds=0.05)


def test_a_query_reads_while_another_writes(db: Database, study_id: int) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE gradstudy_study SET budget = 9")
        assert query(db, "SELECT budget FROM gradstudy_study") == (["budget"], [[(5,)]])


def test_a_closed_database_can_be_queried(db: Database, study_id: int) -> None:
    db.close()
    assert query(db, "SELECT budget FROM gradstudy_study") == (["budget"], [[(5,)]])


def test_a_file_that_is_found_broken_is_called_damaged(path: Path) -> None:
    with Database.open(f"sqlite:///{path}") as db:
        [[(page,)]] = query(db, "SELECT rootpage FROM sqlite_master WHERE name = 'gradstudy_worker'")[1]
        [[(size,)]] = query(db, "PRAGMA page_size")[1]
        db.close()
        with path.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xff" * size)
        with pytest.raises(DamagedError, match=f"^{path} is damaged "):
            query(db, "SELECT * FROM gradstudy_worker")
