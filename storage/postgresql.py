"""What is particular to PostgreSQL: how its connections behave."""

from typing import Any

from sqlalchemy import Engine, event

IDLE_SECONDS = 30
"""How long a transaction may do nothing: that of a worker that was paused in its middle keeps all others waiting."""


def configure_postgresql(engine: Engine) -> None:
    """Have the server end transactions that do nothing; connections that are already open are closed."""
    event.listen(engine, "connect", _on_connect)
    engine.dispose()


def _on_connect(connection: Any, record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = {IDLE_SECONDS * 1000}")
    connection.commit()
