from collections.abc import Callable
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from gradstudy.storage.database import Database
from gradstudy.storage.migrate import HEAD, config


def test_migrations_make_exactly_the_schema(db: Database) -> None:
    with db.engine.begin() as connection:
        command.check(config(connection))


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE gradstudy_trial ADD COLUMN extra INTEGER",
        "ALTER TABLE gradstudy_worker DROP COLUMN pid",
        "CREATE TABLE gradstudy_extra (id INTEGER)",
        "CREATE INDEX ix_gradstudy_trial_seed ON gradstudy_trial (seed)",
    ],
)
def test_a_drift_would_be_noticed(db: Database, change: str) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql(change)
    with db.engine.begin() as connection, pytest.raises(CommandError, match="New upgrade operations"):
        command.check(config(connection))


def test_the_newest_revision_is_the_one_that_is_checked_for(db: Database) -> None:
    with db.engine.connect() as connection:
        assert ScriptDirectory.from_config(config(connection)).get_current_head() == HEAD


@pytest.mark.parametrize("backend", ["sqlite"])
def test_steps_are_kept_without_row_numbers(rows: Callable[[str], list[Any]]) -> None:
    [(sql,)] = rows("SELECT sql FROM sqlite_master WHERE name = 'gradstudy_step'")
    assert "WITHOUT ROWID" in sql
