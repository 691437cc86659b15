"""What is particular to MySQL and MariaDB: how their connections behave."""

from typing import Any

from sqlalchemy import Engine, event


def configure_mysql(engine: Engine) -> None:
    """Have the statements of a transaction see one state, whatever the server's default is.

    Connections that are already open are closed.
    """
    event.listen(engine, "connect", _on_connect)
    engine.dispose()


def _on_connect(connection: Any, record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
