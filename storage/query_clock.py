"""What a person's query gives and the time that it may take: while the database works, not while a reader pauses."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gradstudy.storage.errors import QueryTimeoutError

Rows = Sequence[Sequence[Any]]
CHUNK = 1000
"""Rows in a chunk: enough to be quick, few enough to show the first ones at once."""


@dataclass(frozen=True)
class Answer:
    """What a query gives.

    Attributes:
        columns: their names.
        chunks: the rows, as they come from the database.
        has_more_rights: the statement ran with rights to more than reading the results, which this database could not
            take from it.
    """

    columns: list[str]
    chunks: Iterator[Rows]
    has_more_rights: bool = False


class QueryClock:
    """Runs while the database works.

    Attributes:
        limit_seconds: infinite for a query without a limit.
    """

    def __init__(self, limit_seconds: float | None) -> None:
        self.limit_seconds = math.inf if limit_seconds is None else limit_seconds
        self._spent = 0.0
        self._since: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the time until the block ends."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._spent, self._since = self._now(), None

    def remaining(self) -> float:
        """Seconds that are left, below zero when there are none."""
        return self.limit_seconds - self._now()

    def has_run_out(self) -> bool:
        """Whether the query has had its time."""
        return self.remaining() < 0

    def timeout(self) -> QueryTimeoutError:
        """The error of a query that took too long."""
        return QueryTimeoutError(f"the query took longer than {self.limit_seconds:g} seconds and was stopped")

    def chunks(self, fetch: Callable[[], Rows]) -> Iterator[Rows]:
        """What ``fetch`` gives until it gives nothing.

        Raises:
            QueryTimeoutError: together the chunks took too long.
        """
        while True:
            with self.running():
                rows = fetch()
            if not rows:
                return
            if self.has_run_out():
                raise self.timeout()
            yield rows

    def _now(self) -> float:
        return self._spent + (0.0 if self._since is None else time.monotonic() - self._since)
