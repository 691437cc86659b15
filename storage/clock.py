"""The database's own clock: machines that share a database need not agree on the time."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class utc_now(FunctionElement[datetime]):  # noqa: N801 (SQL functions are lower case)
    """The current time in UTC, without a zone, as the database sees it."""

    type = DateTime()
    inherit_cache = True


@compiles(utc_now)
def _standard(element: utc_now, compiler: Any, **kwargs: Any) -> str:
    return "CURRENT_TIMESTAMP"


@compiles(utc_now, "sqlite")
def _sqlite(element: utc_now, compiler: Any, **kwargs: Any) -> str:
    # Milliseconds, padded to the microseconds that SQLAlchemy writes, so that times compare as text.
    # SQLite takes an expression as a column's default only in parentheses.
    return "(strftime('%Y-%m-%d %H:%M:%f000', 'now'))"


@compiles(utc_now, "postgresql")
def _postgresql(element: utc_now, compiler: Any, **kwargs: Any) -> str:
    return "timezone('utc', clock_timestamp())"


@compiles(utc_now, "mysql", "mariadb")
def _mysql(element: utc_now, compiler: Any, **kwargs: Any) -> str:
    return "UTC_TIMESTAMP()"


class seconds_ago(FunctionElement[datetime]):  # noqa: N801
    """The time that many ``seconds``, a whole number, before ``utc_now``."""

    type = DateTime()
    inherit_cache = True

    def __init__(self, seconds: int) -> None:
        super().__init__(literal_column(str(seconds)))


@compiles(seconds_ago, "sqlite")
def _sqlite_ago(element: seconds_ago, compiler: Any, **kwargs: Any) -> str:
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '-{_seconds(element, compiler)} seconds')"


@compiles(seconds_ago, "postgresql")
def _postgresql_ago(element: seconds_ago, compiler: Any, **kwargs: Any) -> str:
    return f"(timezone('utc', clock_timestamp()) - INTERVAL '{_seconds(element, compiler)} seconds')"


@compiles(seconds_ago, "mysql", "mariadb")
def _mysql_ago(element: seconds_ago, compiler: Any, **kwargs: Any) -> str:
    return f"(UTC_TIMESTAMP() - INTERVAL {_seconds(element, compiler)} SECOND)"


def _seconds(element: seconds_ago, compiler: Any) -> str:
    """As they are written; being an argument, they are part of what a compiled statement is known by."""
    return str(compiler.process(element.clause_expr.element))
