"""What counts as the time of a query."""

import math

import pytest

from gradstudy.storage import query_clock
from gradstudy.storage.errors import QueryTimeoutError
from gradstudy.storage.query_clock import QueryClock


class Hours:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Hours:
    hours = Hours()
    monkeypatch.setattr(query_clock, "time", hours)
    return hours


def test_the_pause_of_a_reader_does_not_count(time: Hours) -> None:
    chunks = iter([[[1]], [[2]], []])

    def fetch() -> list[list[int]]:
        time.now += 1
        return next(chunks)

    seen = []
    for rows in QueryClock(limit_seconds=4).chunks(fetch):
        time.now += 3600
        seen += rows
    assert seen == [[1], [2]]


def test_the_work_of_all_chunks_together_counts(time: Hours) -> None:
    def fetch() -> list[list[int]]:
        time.now += 3
        return [[1]]

    chunks = QueryClock(limit_seconds=4).chunks(fetch)
    assert next(chunks) == [[1]]
    with pytest.raises(QueryTimeoutError, match="took longer than 4 seconds"):
        next(chunks)


def test_a_query_without_a_limit_never_runs_out(time: Hours) -> None:
    clock = QueryClock(None)
    with clock.running():
        time.now = 1e9
        assert not clock.has_run_out()
    assert clock.remaining() == math.inf
