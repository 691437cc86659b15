"""A read-only query on MySQL or MariaDB: only what gives rows, by a procedure that may only read."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Timer
from typing import Any, cast

from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import DBAPIError, ResourceClosedError

from gradstudy.storage.database import Database
from gradstudy.storage.errors import QueryError, WriteRefusedError
from gradstudy.storage.query_clock import CHUNK, Answer, QueryClock, Rows
from gradstudy.storage.query_role import PROCEDURE, has_query_role, may_write
from gradstudy.storage.server_queries import TAKEN, explaining, own_connection

READS = re.compile(
    r"(\s|\(|#[^\n]*\n|--\s[^\n]*\n|/\*[^!M].*?\*/)*(select|values|table|with|explain|describe|desc|show|analyze\s+format|analyze\s+select)\b",
    re.IGNORECASE | re.DOTALL,
)
"""How a statement begins that gives rows; a comment that MySQL runs is none."""

LONGEST_PAUSE = 31_536_000
"""Seconds that the server waits for a reader of the rows: a year is the most it takes."""


@contextmanager
def run_on_mysql(db: Database, sql: str, clock: QueryClock) -> Iterator[Answer]:
    """See `gradstudy.storage.queries.run_query`."""
    if not READS.match(sql):
        raise WriteRefusedError(TAKEN)
    with own_connection(db) as connection:
        has_role = has_query_role(connection)
        has_more_rights = not has_role and may_write(connection)
        connection.exec_driver_sql(f"SET SESSION net_write_timeout = {LONGEST_PAUSE}")
        connection.commit()
        query = _Query(db, connection, clock)
        with clock.running(), query.limited():
            result = explaining(partial(_run, connection, sql, has_role), clock)
        if not result.returns_rows:
            raise QueryError("the statement gives no rows; write a SELECT")
        try:
            yield Answer(list(result.keys()), clock.chunks(partial(query.fetch, result)), has_more_rights)
        except BaseException:
            query.end(result)
            raise
        finally:
            result.close()


class _Query:
    """A statement that runs, and how it is stopped: the server has no limit for one in a procedure."""

    def __init__(self, db: Database, connection: Connection, clock: QueryClock) -> None:
        self._db = db
        self._clock = clock
        self._connection = connection
        self._thread = cast("Any", connection.connection.dbapi_connection).thread_id()

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Stop the statement when the block takes longer than what is left of its time."""
        if math.isinf(self._clock.limit_seconds):
            yield
            return
        timer = Timer(max(0.0, self._clock.remaining()), self._kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def fetch(self, result: CursorResult[Any]) -> Rows:
        """The next rows."""
        with self.limited():
            return explaining(partial(result.fetchmany, CHUNK), self._clock)

    def end(self, result: CursorResult[Any]) -> None:
        """End it: otherwise it sends all its rows before it listens again."""
        if self._connection.invalidated:
            return
        self._kill()
        with suppress(DBAPIError, ResourceClosedError):
            while result.fetchmany(CHUNK):
                pass

    def _kill(self) -> None:
        with suppress(DBAPIError), self._db.engine.connect() as other:
            other.exec_driver_sql(f"KILL QUERY {self._thread}")


def _run(connection: Connection, sql: str, has_role: bool) -> CursorResult[Any]:
    # Without buffering the first rows come at once; without parameters a percent sign is itself.
    streamed = connection.execution_options(stream_results=True)
    if has_role:
        return streamed.exec_driver_sql(f"CALL {PROCEDURE}(%s)", (sql,))
    return streamed.execution_options(no_parameters=True).exec_driver_sql(sql)
