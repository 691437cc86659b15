"""Inserting the steps of trials in the form that each database takes fastest: a group of trials has thousands."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

from sqlalchemy import Connection, Dialect

from gradstudy.storage.schema import Step

StepRow = tuple[int, int, float | None, float | None, float | None, float | None]
"""The columns of ``gradstudy_step`` in their order."""

TOGETHER = 100
"""Rows in one statement of SQLite's, which takes half the time of as many statements; more hardly save any more, and
its older versions take 999 values."""


@dataclass(frozen=True)
class StepInsert:
    """An insertion of rows: statements, each with what is to be given to it, which may be one row or many.

    They are in the driver's own form: SQLAlchemy's would look at each of 10,000 rows.
    """

    statements: list[tuple[str, Any]]

    @classmethod
    def of(cls, dialect: Dialect, rows: Sequence[StepRow]) -> Self:
        """The insertion of ``rows``, which may be none."""
        columns = Step.__table__.columns
        into = f"INSERT INTO {Step.__tablename__} ({', '.join(column.name for column in columns)})"
        if not rows:
            return cls([])
        if dialect.name == "postgresql":  # whose server would run a statement for each row
            arrays = ", ".join(f"%s::{column.type.compile(dialect)}[]" for column in columns)
            return cls([(f"{into} SELECT * FROM unnest({arrays})", tuple(map(list, zip(*rows, strict=True))))])
        if dialect.name == "sqlite":
            marks = f"({', '.join('?' * len(columns))})"
            whole = len(rows) - len(rows) % TOGETHER
            groups = [tuple(chain(*rows[first : first + TOGETHER])) for first in range(0, whole, TOGETHER)]
            last = [(f"{into} VALUES {marks}", rows[whole:])] if rows[whole:] else []
            many = f"{into} VALUES {', '.join([marks] * TOGETHER)}"
            return cls([*([(many, groups)] if groups else []), *last])
        return cls([(f"{into} VALUES ({', '.join(['%s'] * len(columns))})", rows)])

    def run(self, connection: Connection) -> None:
        """Insert the rows, in a transaction."""
        for statement, given in self.statements:
            connection.exec_driver_sql(statement, given)
