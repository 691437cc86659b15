"""Results as pandas frames."""

from collections.abc import Sequence
from json import loads
from typing import Any

import pandas as pd
from sqlalchemy import bindparam, text

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
    frame = _read(db, study, f"SELECT * FROM trial_result WHERE {wanted} ORDER BY number{limit}", after=after)
    ranges = find_study(db, study).spec.get("space", {}).get("hyperparameters", {})
    factors = [_decoded(given) for given in frame["factors"]]
    for column, is_searched in (("factors", False), ("searched", True)):
        chosen = [{name: row[name] for name in row if (name in ranges) == is_searched} for row in factors]
        frame[column] = pd.Series(chosen, frame.index, dtype="object")
    metrics = [_decoded(given) for given in frame["metrics"]]
    frame["metrics"] = pd.Series(metrics, frame.index, dtype="object")
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
    """
    # MOD() is not in every build of SQLite.
    remainder = "r.step % :every" if db.engine.dialect.name == "sqlite" else "MOD(r.step, :every)"
    query = f"""
        SELECT r.* FROM step_result r JOIN gradstudy_trial t ON t.trial_id = r.trial_id
        WHERE r.study = :study AND ({remainder} = 0 OR r.step = t.steps - 1)
    """
    if numbers is None:
        return _read(db, study, f"{query} ORDER BY r.number, r.step", every=every)
    query += " AND r.number IN :numbers ORDER BY r.number, r.step"
    return _read(db, study, query, every=every, numbers=list(numbers))


def _read(db: Database, study: str, query: str, **values: Any) -> pd.DataFrame:
    find_study(db, study)
    statement = text(query)
    if "numbers" in values:
        statement = statement.bindparams(bindparam("numbers", expanding=True))
    with reading(db.engine) as connection:
        frame = pd.read_sql_query(statement, connection, params={"study": study, **values})
    return frame.astype({column: kind for column, kind in TYPES.items() if column in frame})


def _decoded(given: Any) -> dict[str, Any]:
    """SQLite and MySQL give JSON as text, PostgreSQL decoded."""
    if isinstance(given, dict):
        return given
    return loads(given) if isinstance(given, str) else {}  # a frame may have NaN for NULL
