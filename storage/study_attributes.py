"""What Optuna keeps beside a study under a name, such as the notes and figures of optuna-dashboard."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Integer, MetaData, String, Table, Text, delete, insert, or_, select

from gradstudy.storage.database import Database
from gradstudy.storage.transactions import reading, writing

# Optuna makes and owns it; these columns are those of its first release.
ATTRIBUTES = Table(
    "study_system_attributes",
    MetaData(),
    Column("study_system_attribute_id", Integer, primary_key=True),
    Column("study_id", Integer),
    Column("key", String(512)),
    Column("value_json", Text),
)


def read_attribute(db: Database, study_id: int, key: str) -> Any:
    """The value under a name, None when there is none."""
    mine = (ATTRIBUTES.c.study_id == study_id) & (ATTRIBUTES.c.key == key)
    with reading(db.engine) as connection:
        text = connection.scalar(select(ATTRIBUTES.c.value_json).where(mine))
    return None if text is None else json.loads(text)


def replace_attributes(db: Database, study_id: int, prefixes: list[str], values: Mapping[str, Any]) -> None:
    """Put values in the place of all whose names begin with one of the prefixes, in one transaction.

    Through Optuna each value is a transaction of its own: a figure of fifty parts took fifty, and who read in the
    middle of it got half a figure.
    """
    old = or_(*(ATTRIBUTES.c.key.startswith(prefix, autoescape=True) for prefix in prefixes))
    rows = [{"study_id": study_id, "key": key, "value_json": json.dumps(value)} for key, value in values.items()]
    with writing(db.engine) as connection:
        connection.execute(delete(ATTRIBUTES).where(ATTRIBUTES.c.study_id == study_id, old))
        connection.execute(insert(ATTRIBUTES), rows)
