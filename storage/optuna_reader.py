"""Optuna's storage for those who only look: the database itself refuses what they would change."""

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from gradstudy.storage.database import Database
from gradstudy.storage.optuna_storage import close_optuna_storage, open_optuna_storage
from gradstudy.storage.server_queries import READ_ONLY
from gradstudy.storage.transactions import reading_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.storages import RDBStorage


@contextmanager
def reading_storage(db: Database) -> "Iterator[RDBStorage]":
    """A storage with connections of its own, at most two, on which every change fails."""
    with read_only(open_optuna_storage(db.url, make_tables=False)) as storage:
        yield storage


@contextmanager
def read_only(storage: "RDBStorage") -> "Iterator[RDBStorage]":
    """The storage with new connections on which every change fails; it is closed at the end."""
    dialect = storage.engine.dialect.name
    refuse = "PRAGMA query_only = ON" if dialect == "sqlite" else READ_ONLY[dialect]

    def on_connect(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(refuse)
        cursor.close()
        if not isinstance(connection, sqlite3.Connection):
            connection.commit()  # the setting is the session's only once its transaction has ended

    event.listen(storage.engine, "connect", on_connect)
    storage.engine.update_execution_options(**reading_options(storage.engine))
    storage.engine.dispose()  # connections that were open before do not have this setting
    try:
        yield storage
    finally:
        close_optuna_storage(storage)
