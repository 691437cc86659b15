"""What Optuna keeps beside a study under a name, such as the notes and figures of optuna-dashboard."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select
from sqlalchemy.exc import IntegrityError

from gradstudy.storage.database import Database
from gradstudy.storage.optuna_internals import STUDY_ATTRIBUTES
from gradstudy.storage.transactions import reading, writing


def read_attribute(db: Database, study_id: int, key: str) -> Any:
    """The value under a name, None when there is none."""
    mine = (STUDY_ATTRIBUTES.c.study_id == study_id) & (STUDY_ATTRIBUTES.c.key == key)
    with reading(db.engine) as connection:
        text = connection.scalar(select(STUDY_ATTRIBUTES.c.value_json).where(mine))
    return None if text is None else json.loads(text)


def read_attributes(connection: Connection, key: str, studies: Sequence[int]) -> dict[int, Any]:
    """The values under a name, by ``study_id``; of studies without one there is nothing."""
    wanted = (STUDY_ATTRIBUTES.c.key == key) & STUDY_ATTRIBUTES.c.study_id.in_(studies)
    rows = connection.execute(select(STUDY_ATTRIBUTES.c.study_id, STUDY_ATTRIBUTES.c.value_json).where(wanted))
    return {study_id: json.loads(text) for study_id, text in rows}


def keep_first(db: Database, study_id: int, key: str, value: Any) -> Any:
    """Put a value under a name unless there is one; of several who do so one wins, and all get what is there."""
    row = {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
    with suppress(IntegrityError), writing(db.engine) as connection:
        connection.execute(insert(STUDY_ATTRIBUTES), row)
    return read_attribute(db, study_id, key)


def replace_attributes(db: Database, study_id: int, prefixes: list[str], values: Mapping[str, Any]) -> None:
    """Put values in the place of all whose names begin with one of the prefixes, in one transaction.

    Through Optuna each value is a transaction of its own: a figure of fifty parts took fifty, and who read in the
    middle of it got half a figure.
    """
    old = or_(*(STUDY_ATTRIBUTES.c.key.startswith(prefix, autoescape=True) for prefix in prefixes))
    rows = [{"study_id": study_id, "key": key, "value_json": json.dumps(value)} for key, value in values.items()]
    with writing(db.engine) as connection:
        connection.execute(delete(STUDY_ATTRIBUTES).where(STUDY_ATTRIBUTES.c.study_id == study_id, old))
        connection.execute(insert(STUDY_ATTRIBUTES), rows)
