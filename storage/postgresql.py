"""What is particular to PostgreSQL: how its connections behave.

Nothing is set for a session, which behind PgBouncer may be another one in the next transaction.
"""

from typing import Any

from sqlalchemy import Connection, Engine, event

from gradstudy.storage.transactions import READS_ONLY

IDLE_SECONDS = 30
"""How long a transaction may do nothing: that of a worker that was paused in its middle keeps all others waiting."""


def configure_postgresql(engine: Engine) -> None:
    """Have the server end transactions that write and do nothing; connections that are already open are closed."""
    if engine.dialect.driver == "psycopg":
        event.listen(engine, "do_connect", _prepare_nothing)
    event.listen(engine, "begin", _on_begin)
    engine.dispose()


def _prepare_nothing(dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> None:
    options["prepare_threshold"] = None  # a prepared statement is the session's


def _on_begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(READS_ONLY, False) and options.get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_SECONDS * 1000}")
