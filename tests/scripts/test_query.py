import csv
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from typer.testing import Result

from gradstudy.storage.database import Database

Run = Callable[..., Result]
TRIALS = "SELECT number, cell, threshold, learning_rate, outcome, reason FROM trial_result ORDER BY number"
ODD = "SELECT '[/a] [red]x[/red]' AS \"[b]\", ':smile:' AS emoji, 'a,\"b' AS quoted, 'ä' AS umlaut, NULL AS empty"


@pytest.fixture
def expected(finished: Database) -> Callable[[str], list[tuple[Any, ...]]]:
    """What SQLite itself answers."""

    def ask(sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect("gradstudy.db")) as connection:
            return connection.execute(sql).fetchall()

    return ask


def ask(gradstudy: Run, sql: str, form: str) -> str:
    result = gradstudy("query", sql, "--format", form)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.parametrize("sql", [TRIALS, ODD])
def test_json_holds_the_same_values(gradstudy: Run, expected: Callable[..., Any], sql: str) -> None:
    rows = json.loads(ask(gradstudy, sql, "json"))
    assert [tuple(row.values()) for row in rows] == expected(sql)


@pytest.mark.parametrize("sql", [TRIALS, ODD])
def test_csv_holds_the_same_values(gradstudy: Run, expected: Callable[..., Any], sql: str) -> None:
    _, *rows = csv.reader(io.StringIO(ask(gradstudy, sql, "csv"), newline=""))
    assert rows == [["" if value is None else str(value) for value in row] for row in expected(sql)]


def test_a_table_shows_the_same_values(gradstudy: Run, expected: Callable[..., Any]) -> None:
    heading, *lines = ask(gradstudy, TRIALS, "table").splitlines()
    assert heading.split() == ["number", "cell", "threshold", "learning_rate", "outcome", "reason"]
    for line, row in zip(lines, expected(TRIALS), strict=True):
        number, cell, threshold, learning_rate, outcome, reason = line.split()
        assert (int(number), cell, outcome, None if reason == "-" else reason) == (*row[:2], *row[4:])
        assert float(learning_rate) == pytest.approx(row[3], rel=1e-5)
        assert threshold == "-" if row[2] is None else float(threshold) == pytest.approx(row[2], rel=1e-5)


def test_brackets_are_no_markup_in_a_table(gradstudy: Run, finished: Database) -> None:
    heading, line = ask(gradstudy, ODD, "table").splitlines()
    assert heading.split() == ["[b]", "emoji", "quoted", "umlaut", "empty"]
    assert line.split() == ["[/a]", "[red]x[/red]", ":smile:", 'a,"b', "ä", "-"]


@pytest.mark.parametrize(("form", "text"), [("json", "[\n]\n"), ("csv", "a\n")])
def test_no_rows_are_an_answer_too(gradstudy: Run, finished: Database, form: str, text: str) -> None:
    assert ask(gradstudy, "SELECT 1 AS a WHERE FALSE", form) == text


def test_many_rows_arrive_in_order(gradstudy: Run, finished: Database) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT i FROM n"
    assert [row["i"] for row in json.loads(ask(gradstudy, many, "json"))] == list(range(2501))


def test_a_query_that_takes_too_long_is_stopped(gradstudy: Run, finished: Database) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n"
    result = gradstudy("query", endless, "--limit-seconds", "0.05")
    assert (result.exit_code, result.stderr) == (
        2,
        "gradstudy: the query took longer than 0.05 seconds and was stopped\n",
    )
