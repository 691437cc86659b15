"""MLflow's stores: a folder for each run with a file for each metric, or one SQLite database."""

import heapq
import math
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from gradstudy.study.errors import LogError
from gradstudy.study.integrations.logs.entry import STEP, Entry, Wanted, number
from gradstudy.study.integrations.logs.text_file import lines, opened_text

METRICS, META, NAME = "metrics", "meta.yaml", "tags/mlflow.runName"
DATABASE_MARK = b"SQLite format 3\0"
QUERY = "SELECT run_uuid, key, value, step, is_nan FROM metrics ORDER BY run_uuid, step, timestamp"


def is_run_folder(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return (folder / METRICS).is_dir() and (folder / META).is_file()


def run_name(folder: Path) -> str:
    """What the person called the run, or its number."""
    tag = folder / NAME
    return tag.read_text(encoding="utf-8", errors="replace").strip() if tag.is_file() else folder.name


def read_run_folder(folder: Path, wanted: Wanted = None) -> Iterator[Entry]:
    """The metrics of a run, merged by their steps."""
    root = folder / METRICS
    names = {path: path.relative_to(root).as_posix() for path in sorted(root.rglob("*")) if path.is_file()}
    parts = [read_metric(path, name) for path, name in names.items() if wanted is None or name in wanted]
    yield from heapq.merge(*parts, key=lambda entry: entry.values[STEP])


def read_metric(path: Path, name: str) -> Iterator[Entry]:
    """The lines of one metric: time, value and step."""
    with opened_text(path) as file:
        for line in lines(file):
            cells = line.split()
            if len(cells) >= 2 and (value := number(cells[1])) is not None:
                step = number(cells[2]) if len(cells) > 2 else None
                yield Entry("", {STEP: 0.0 if step is None else step, name: value})


def read_database(path: Path, wanted: Wanted = None) -> Iterator[Entry]:
    """The metrics of all runs of a database, run by run.

    Raises:
        LogError: it is not one of MLflow.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            names = dict(connection.execute("SELECT run_uuid, name FROM runs").fetchall())
            for run, key, value, step, is_nan in connection.execute(QUERY):
                if wanted is None or key in wanted:
                    read = math.nan if is_nan else _finite_or_not(float(value))
                    yield Entry(_called(run, names), {STEP: float(step), key: read})
    except sqlite3.Error as error:
        raise LogError(
            f"the log {path} is a SQLite database without MLflow's metrics ({error}); "
            "gradstudy report reads its own and Optuna's"
        ) from None


def _called(run: str, names: dict[str, str | None]) -> str:
    name = names.get(run)
    return f"{name} ({run[:8]})" if name else run


def _finite_or_not(value: float) -> float:
    """MLflow stores infinity as the largest number."""
    return math.copysign(math.inf, value) if abs(value) >= sys.float_info.max else value
