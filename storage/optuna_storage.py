"""Optuna's own storage on gradstudy's database, with the same settings of the connection on SQLite."""

import logging
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL

from gradstudy.storage.connections import configure
from gradstudy.storage.errors import SchemaVersionError
from gradstudy.storage.sqlite import BUSY_SECONDS
from gradstudy.storage.urls import display

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from optuna.storages import GrpcStorageProxy, RDBStorage

OPTUNA_TABLES = frozenset({"studies", "trials", "trial_values", "alembic_version"})
"""Tables that tell a database of Optuna's from any other."""

OPTUNA_MAKES = OPTUNA_TABLES | {
    "version_info",
    "study_directions",
    "study_user_attributes",
    "study_system_attributes",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_params",
    "trial_intermediate_values",
    "trial_heartbeats",
}
"""Every table that it makes, one after the other: a process that looks meanwhile sees some of them."""

POOL = {"pool_size": 1, "max_overflow": 1}
"""Two connections at most for each engine: one for the worker, one for its heartbeat."""


def open_optuna_storage(
    url: URL, *, make_tables: bool, connect: "Callable[[], sqlite3.Connection] | None" = None
) -> "RDBStorage":
    """Open Optuna's storage; importing Optuna takes a while, so only who needs it calls this.

    Args:
        url: of the database.
        make_tables: those of Optuna's that are missing.
        connect: how an SQLite file is opened, where not as usual.

    Raises:
        SchemaVersionError: Optuna's tables were made by another version of Optuna.
    """
    from optuna.storages import RDBStorage

    # "A new study created in RDB" is not for the users of gradstudy.
    logging.getLogger("optuna.storages").setLevel(logging.WARNING)
    sqlite = url.get_backend_name() == "sqlite"
    given: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}} if sqlite else {}
    if connect is not None:
        given = {"creator": connect}
    try:
        storage = RDBStorage(
            url.render_as_string(hide_password=False),
            engine_kwargs={**POOL, **given},
            skip_table_creation=not make_tables,
        )
    except RuntimeError as error:
        raise SchemaVersionError(
            f"{display(url)} was made by another version of Optuna; "
            f"`optuna storage upgrade --storage {display(url)}` upgrades its tables"
        ) from error
    configure(storage.engine)
    return storage


def close_optuna_storage(storage: "RDBStorage | GrpcStorageProxy") -> None:
    """Close its connections."""
    from optuna.storages import RDBStorage

    if isinstance(storage, RDBStorage):
        storage.scoped_session.remove()
        storage.engine.dispose()
    else:
        storage.close()
