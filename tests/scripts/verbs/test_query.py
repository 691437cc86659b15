import csv
import io
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from typer.testing import Result
from waiting import PATIENCE_SECONDS

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
    result = gradstudy("query", endless, "--timeout", "0.05")
    assert (result.exit_code, result.stderr) == (
        2,
        "gradstudy: the query took longer than 0.05 seconds and was stopped\n",
    )


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT i, 0.5 * i AS x FROM n"


def test_what_json_does_not_have_is_null_or_text(gradstudy: Run, finished: Database) -> None:
    text = ask(gradstudy, "SELECT 9e999 AS large, -9e999 AS small, x'00ff' AS bytes", "json")
    assert json.loads(text, parse_constant=pytest.fail) == [{"large": None, "small": None, "bytes": "00ff"}]


def test_a_table_that_nobody_reads_on_a_terminal_is_not_folded(
    gradstudy: Run, finished: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    many = ", ".join(f"'{number:030}' AS a{number}" for number in range(40))
    heading, line = ask(gradstudy, f"SELECT {many}", "table").splitlines()
    assert heading.split() == [f"a{number}" for number in range(40)]
    assert line.split() == [f"{number:030}" for number in range(40)]


def test_a_table_of_many_rows_stays_aligned(gradstudy: Run, finished: Database) -> None:
    many = (
        "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 3500) SELECT i AS a, i AS b FROM n"
    )
    heading, *lines = ask(gradstudy, many, "table").splitlines()
    assert heading == "a     b     "
    assert lines == [f"{number}  {number}  " for number in range(1000, 3501)]


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_file_holds_what_would_have_been_printed(gradstudy: Run, finished: Database, folder: Path, form: str) -> None:
    result = gradstudy("query", TRIALS, "--format", form, "--output", "rows")
    assert (result.exit_code, result.output) == (0, "")
    assert (folder / "rows").read_text() == ask(gradstudy, TRIALS, form)


def test_parquet_holds_the_same_values(gradstudy: Run, expected: Callable[..., Any]) -> None:
    assert gradstudy("query", TRIALS, "--format", "parquet", "-o", "rows.parquet").exit_code == 0
    table = parquet.read_table("rows.parquet")
    assert [tuple(row.values()) for row in table.to_pylist()] == expected(TRIALS)
    assert [str(kind) for kind in table.schema.types[:4]] == ["int64", "string", "double", "double"]


def test_a_column_of_parquet_has_one_type_whatever_comes_late(gradstudy: Run, finished: Database) -> None:
    late = (
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT "
        "CASE WHEN i > 2400 THEN i END AS whole, CASE WHEN i > 2400 THEN 0.5 ELSE i END AS number, "
        "CASE WHEN i > 2400 THEN 'x' ELSE i END AS mixed, NULL AS none, i AS whole FROM n"
    )
    assert gradstudy("query", late, "--format", "parquet", "-o", "rows.parquet").exit_code == 0
    table = parquet.read_table("rows.parquet")
    assert {name: str(kind) for name, kind in zip(table.schema.names, table.schema.types, strict=True)} == {
        "whole": "int64",
        "number": "double",
        "mixed": "string",
        "none": "null",
        "whole_2": "int64",
    }
    rows = table.to_pylist()
    assert len(rows) == 2501
    assert rows[0] == {"whole": None, "number": 0.0, "mixed": "0", "none": None, "whole_2": 0}
    assert rows[-1] == {"whole": 2500, "number": 0.5, "mixed": "x", "none": None, "whole_2": 2500}


def test_what_is_cut_short_leaves_no_file(gradstudy: Run, finished: Database, folder: Path) -> None:
    before = sorted(folder.iterdir())
    assert gradstudy("query", ENDLESS, "--format", "csv", "-o", "rows", "--timeout", "0.2").exit_code == 2
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--format", "parquet"], "--format parquet needs --output FILE"),
        (["-o", "no/rows"], "--output takes a file that can be written, but no/rows cannot: No such file or directory"),
    ],
)
def test_an_output_that_cannot_be_is_said(gradstudy: Run, finished: Database, words: list[str], sentence: str) -> None:
    result = gradstudy("query", "SELECT 1", *words)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"gradstudy: {sentence}\n")


@pytest.mark.parametrize("timeout", ["0", "3600"])
@pytest.mark.parametrize("sql", [ENDLESS, ENDLESS.replace("i, 0.5 * i AS x", "max(i)")])
def test_ctrl_c_stops_a_query_in_order(finished: Database, folder: Path, sql: str, timeout: str) -> None:
    words = ["query", sql, "--timeout", timeout, "--format", "csv", "-o", "rows.csv"]
    before = sorted(folder.iterdir())
    code = "import sys; from gradstudy.storage import queries; from gradstudy.scripts.main import app\n"
    # It says when the query begins, so that the test knows.
    code += "run = queries.run_query\n"
    code += "queries.run_query = lambda *a, **k: (print('begun', flush=True), run(*a, **k))[1]\n"
    code += "app(sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGINT)
        try:
            assert process.communicate(timeout=PATIENCE_SECONDS) == (b"", b"")
        finally:
            process.kill()
    assert process.returncode == 130
    assert sorted(folder.iterdir()) == before
