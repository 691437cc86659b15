"""Trials that count nowhere because somebody said why: what they measured stays.

Optuna sees such a trial as failed: no sampler learns from it, no pruner compares with it, and none is the best.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, String, cast, delete, func, insert, join, literal_column, select, update

from gradstudy.storage.database import Database
from gradstudy.storage.ended import State, add_changes
from gradstudy.storage.errors import NotEndedError, NotFoundError
from gradstudy.storage.optuna_internals import TRIALS as STATES
from gradstudy.storage.optuna_internals import USER_ATTRIBUTES
from gradstudy.storage.results import told_state
from gradstudy.storage.schema import TRIALS, Trial
from gradstudy.storage.studies import StudyRecord, require_study
from gradstudy.storage.transactions import writing

EXCLUDED = "excluded"
"""The user attribute of Optuna's that says why, for optuna-dashboard."""
SEEN = STATES.alias("seen")
STATE = cast(SEEN.c.state, String(8))
"""As Optuna sees a trial; a type of its own in PostgreSQL, which compares with no string."""


def exclude_trials(db: Database, study: StudyRecord, numbers: Sequence[int], why: str) -> None:
    """Let trials count nowhere; those that are excluded get the new reason.

    Args:
        db: where the study is.
        study: which study.
        numbers: of the trials.
        why: for people.

    Raises:
        NotFoundError: there is no such trial; none is excluded then.
        NotEndedError: one has not ended.
    """
    with writing(db.engine) as connection:
        found = _found(connection, study, numbers)
        keys = [row["trial_id"] for row in found.values()]
        _forget(connection, [row["trial_id"] for row in found.values() if row["excluded"] is not None])
        connection.execute(update(Trial).where(Trial.trial_id.in_(keys)).values(excluded=why))
        _set_state(connection, keys, "FAIL")
        shown = [{"trial_id": key, "key": EXCLUDED, "value_json": json.dumps(why)} for key in keys]
        connection.execute(insert(USER_ATTRIBUTES), shown)
        _count(connection, study, found.values(), why)


def include_trials(db: Database, study: StudyRecord, numbers: Sequence[int]) -> None:
    """Let trials count again.

    Raises:
        NotFoundError: there is no such trial, or it is not excluded; all stay as they are then.
    """
    with writing(db.engine) as connection:
        found = _found(connection, study, numbers)
        counted = [number for number, row in found.items() if row["excluded"] is None]
        if counted:
            raise NotFoundError(f"trial {counted[0]} of study '{study.name}' is not excluded")
        keys = [row["trial_id"] for row in found.values()]
        _forget(connection, keys)
        connection.execute(update(Trial).where(Trial.trial_id.in_(keys)).values(excluded=None))
        for state in ("COMPLETE", "PRUNED", "FAIL"):
            were = [row["trial_id"] for row in found.values() if told_state(row["outcome"], row["objective"]) == state]
            _set_state(connection, were, state)
        _count(connection, study, found.values(), None)


def _found(connection: Connection, study: StudyRecord, numbers: Sequence[int]) -> Mapping[int, RowMapping]:
    """The trials by number, all of which have ended; nobody else changes them before the transaction ends."""
    require_study(connection, study)
    of_study = join(Trial, TRIALS, TRIALS.c.trial_id == Trial.trial_id).join(SEEN, SEEN.c.trial_id == Trial.trial_id)
    seen = (
        select(TRIALS.c.number, Trial.trial_id, STATE.label("state"))
        .select_from(of_study)
        .where(Trial.study_id == study.study_id, TRIALS.c.number.in_(numbers))
    )
    known = {row.number: row for row in connection.execute(seen)}
    held = select(Trial.trial_id, Trial.outcome, Trial.objective, Trial.excluded).order_by(Trial.trial_id)
    held = held.where(Trial.trial_id.in_([row.trial_id for row in known.values()])).with_for_update()
    rows = {row["trial_id"]: row for row in connection.execute(held).mappings()}
    for number in numbers:
        if number not in known:
            last = select(func.max(TRIALS.c.number)).select_from(of_study).where(Trial.study_id == study.study_id)
            there_are = "none yet" if (largest := connection.scalar(last)) is None else f"0 to {largest}"
            raise NotFoundError(f"study '{study.name}' has no trial {number}; its trials are {there_are}")
        if rows[known[number].trial_id]["outcome"] is None or known[number].state in ("RUNNING", "WAITING"):
            raise NotEndedError(f"trial {number} of study '{study.name}' has not ended yet")
    return {number: rows[known[number].trial_id] for number in numbers}


def _count(connection: Connection, study: StudyRecord, rows: Iterable[RowMapping], excluded: str | None) -> None:
    """Count trials anew that are excluded now, or count again."""
    changed = [
        (State(row["outcome"], row["excluded"], row["trial_id"]), State(row["outcome"], excluded, row["trial_id"]))
        for row in rows
    ]
    add_changes(connection, study.study_id, 0, changed)


def _forget(connection: Connection, keys: Sequence[int]) -> None:
    """Take back why trials are excluded; MySQL would lock what is beside a row that is not there."""
    attribute = USER_ATTRIBUTES.c.trial_id.in_(keys), USER_ATTRIBUTES.c.key == EXCLUDED
    connection.execute(delete(USER_ATTRIBUTES).where(*attribute))


def _set_state(connection: Connection, keys: Sequence[Any], state: str) -> None:
    if keys:
        # The word itself, which PostgreSQL takes for a value of its type.
        changed = update(STATES).where(STATES.c.trial_id.in_(keys)).values(state=literal_column(f"'{state}'"))
        connection.execute(changed)
