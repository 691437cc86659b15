"""Results as pandas frames."""

from collections.abc import Sequence
from json import loads
from typing import Any

import pandas as pd
from sqlalchemy import Connection, TextClause, bindparam, text

from gradstudy.storage.archive.archived_rows import archived_rows
from gradstudy.storage.database import Database
from gradstudy.storage.studies import find_study
from gradstudy.storage.transactions import reading

# Said outright, because a column that is all NULL tells nothing about its type.
WORDS = ("study", "cell", "strategy", "outcome", "reason", "host", "state", "root_study", "excluded")
COUNTS = ("diverged_at_step", "spikes", "skipped_steps", "worker", "horizon")
"""Whole numbers that may be missing."""
NUMBERS = (
    "threshold", "learning_rate", "threshold_bin", "learning_rate_bin", "initial_loss", "final_loss",
    "initial_validation_loss", "validation_loss", "objective", "grad_norm_p50", "grad_norm_p90",
    "grad_norm_max", "clipped_fraction", "seconds", "loss", "grad_norm", "applied_norm",
)  # fmt: skip
ROWS_AT_ONCE = 10_000
TYPES = dict.fromkeys(WORDS, "str") | dict.fromkeys(COUNTS, "Int64") | dict.fromkeys(NUMBERS, "float64")


def read_trials(
    db: Database, study: str, *, excluded: bool = False, after: int = -1, most: int | None = None
) -> pd.DataFrame:
    """The view ``trial_result`` of a study, by number; ``factors`` and ``metrics`` are dictionaries, times are UTC.

    ``searched`` has what the view has among the factors and is searched on a range: each setting has another value.

    Args:
        db: where the study is.
        study: its name.
        excluded: whether trials are among them that count nowhere.
        after: only trials with larger numbers.
        most: how many, the first of them; None for all.

    Raises:
        NotFoundError: there is no such study.
    """
    wanted = "study = :study AND number > :after" + ("" if excluded else " AND excluded IS NULL")
    limit = "" if most is None else f" LIMIT {most:d}"
    ranges = find_study(db, study).spec.get("space", {}).get("hyperparameters", {})
    statement = text(f"SELECT * FROM trial_result WHERE {wanted} ORDER BY number{limit}")
    with reading(db.engine) as connection:
        frame = _frame(connection, statement, {"study": study, "after": after})
    factors = _decoded(frame["factors"])
    for column, is_searched in (("factors", False), ("searched", True)):
        chosen = [{name: row[name] for name in row if (name in ranges) == is_searched} for row in factors]
        frame[column] = pd.Series(chosen, frame.index, dtype="object")
    frame["metrics"] = pd.Series(_decoded(frame["metrics"]), frame.index, dtype="object")
    for column in ("started_at", "finished_at"):
        frame[column] = pd.to_datetime(frame[column], format="ISO8601")
    return frame


def read_steps(db: Database, study: str, numbers: Sequence[int] | None = None, every: int = 1) -> pd.DataFrame:
    """The view ``step_result`` of a study, by number and step.

    Args:
        db: where the study is.
        study: its name.
        numbers: of the trials; None for all.
        every: only steps that are a multiple of it, and the last of each trial, for drawing.

    Raises:
        NotFoundError: there is no such study.
        ArchiveError: they were archived in a file that is not there.
    """
    # MOD() is not in every build of SQLite.
    remainder = "r.step % :every" if db.engine.dialect.name == "sqlite" else "MOD(r.step, :every)"
    chosen = "" if numbers is None else " AND r.number IN :numbers"
    statement = text(f"""
        SELECT r.* FROM step_result r JOIN gradstudy_trial t ON t.trial_id = r.trial_id
        WHERE r.study = :study AND ({remainder} = 0 OR r.step = t.steps - 1){chosen}
        ORDER BY r.number, r.step
    """)
    values = {"study": study, "every": every}
    if numbers is not None:
        statement = statement.bindparams(bindparam("numbers", expanding=True))
        values["numbers"] = list(numbers)
    record = find_study(db, study)
    with reading(db.engine) as connection:
        kept = _frame(connection, statement, values)
        archived = archived_rows(connection, record, numbers, every)
    if not archived:
        return kept
    frame = pd.concat([*archived, kept] if len(kept) else archived, ignore_index=True)
    return _typed(frame).sort_values(["number", "step"], ignore_index=True)


def _frame(connection: Connection, statement: TextClause, values: dict[str, Any]) -> pd.DataFrame:
    """What a statement gives; few rows at a time are Python's objects, which take far more memory."""
    parts = [
        _typed(part)
        for part in pd.read_sql_query(
            statement, connection.execution_options(stream_results=True), params=values, chunksize=ROWS_AT_ONCE
        )
    ]
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({column: kind for column, kind in TYPES.items() if column in frame})


def _decoded(given: "pd.Series[Any]") -> list[dict[str, Any]]:
    """JSON, of which SQLite and MySQL give the text, and PostgreSQL what it says; a frame may have NaN for NULL."""
    texts: dict[str, dict[str, Any]] = {}
    return [each if isinstance(each, dict) else _copy(each, texts) for each in given]


def _copy(given: Any, texts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if not isinstance(given, str):
        return {}
    if given not in texts:
        texts[given] = loads(given)
    return dict(texts[given])
