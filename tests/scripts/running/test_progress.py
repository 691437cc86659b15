import io
import itertools
import re
from collections.abc import Callable, Iterable

import pytest
from rich.console import Console

from gradstudy.scripts.running.progress import Lengths, StudyProgress
from gradstudy.storage.results import Outcome, TrialResult

NEW = dict.fromkeys([*Outcome, "running"], 0) | {"remaining": 20}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterable[float]], None]:
    """Let the display's clock show these seconds, one after the other."""

    def show(seconds: Iterable[float]) -> None:
        monkeypatch.setattr("time.monotonic", iter(seconds).__next__)

    return show


def display(counts: dict[str, int], *, terminal: bool = False) -> tuple[StudyProgress, io.StringIO]:
    text = io.StringIO()
    return StudyProgress(20, counts, Console(file=text, width=200, force_terminal=terminal)), text


def run(progress: StudyProgress, *outcomes: str) -> None:
    for number, outcome in enumerate(outcomes):
        progress.started(number)
        progress.finished(number, TrialResult(outcome=Outcome(outcome), steps=1))


def test_where_output_is_no_terminal_a_line_is_printed_for_each_tenth() -> None:
    progress, text = display(NEW)
    with progress:
        run(progress, *["trained"] * 7)
    numbers = [int(line.partition("/")[0]) for line in text.getvalue().splitlines()]
    assert numbers == [2, 4, 6, 7]


def test_what_the_database_held_before_counts_as_done() -> None:
    progress, _ = display(NEW | {"diverged": 3, "trained": 4, "running": 2, "remaining": 11})
    assert progress.line() == "7/20 done · 0 running · 3 diverged"
    progress.started(7)
    assert progress.line() == "7/20 done · 1 running · 3 diverged"


def test_the_pace_is_that_of_this_run(clock: Callable[[Iterable[float]], None]) -> None:
    progress, _ = display(NEW | {"trained": 10, "remaining": 10})
    started = progress._started
    clock(itertools.repeat(started + 60))
    run(progress, "trained", "diverged")
    assert progress.line() == "12/20 done · 0 running · 1 diverged · 2.0 trials/min · 4:00 left"
    clock(itertools.repeat(started + 3700))
    run(progress, *["trained"] * 8)
    assert progress.line().endswith(" · 1:01:40 in all")


def test_where_lengths_differ_progress_and_time_left_are_in_steps(clock: Callable[[Iterable[float]], None]) -> None:
    progress, _ = display(NEW)
    started, ended = progress._started, NEW | {"remaining": 0}
    clock(itertools.repeat(started + 10))
    progress.show(NEW, Lengths(10, 0, 800))
    assert progress.line() == "10 steps: 0/20 done · 0 running · 0 diverged · 0/1,000 steps"
    clock(itertools.repeat(started + 20))
    progress.show(ended | {"trained": 18, "diverged": 2}, Lengths(10, 0, 800))
    of_all = "200/1,000 steps · 10 steps/s · 1:20 left"
    assert progress.line() == f"10 steps: 20/20 done · 0 running · 2 diverged · {of_all}"
    clock(itertools.repeat(started + 35))
    progress.show(ended | {"trained": 1, "running": 1}, Lengths(400, 200, 0), under_way=100)
    assert progress.line() == (
        "400 steps: 1/2 done · 1 running · 0 diverged · 700/1,000 steps · 20 steps/s · 0:15 left"
    )
    clock(itertools.repeat(started + 50))
    progress.show(ended | {"trained": 2}, Lengths(400, 200, 0))
    assert progress.line().endswith("1,000/1,000 steps · 20 steps/s · 0:50 in all")


def test_stopping_is_announced() -> None:
    progress, text = display(NEW)
    with progress:
        progress.stopping()
    assert text.getvalue().startswith("stopping: running trials are given back")


def test_a_terminal_keeps_the_last_line_only() -> None:
    progress, text = display(NEW, terminal=True)
    with progress:
        run(progress, "trained", "diverged")
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue()).splitlines()[-1]
    assert last.startswith("2/20 done · 0 running · 1 diverged")


@pytest.mark.parametrize("terminal", [True, False])
def test_what_the_database_said_is_no_markup(terminal: bool) -> None:
    message = "the database does not answer ([/old]/x.db: [bold]:fire: is full); trying again in 1 s"
    progress, text = display(NEW, terminal=terminal)
    with progress:
        progress.waiting(message)
    assert message in text.getvalue()


def test_what_the_database_said_does_not_command_a_terminal() -> None:
    progress, text = display(NEW)
    with progress:
        progress.waiting("the database does not answer (\x1b]0;mine\x07)")
    assert r"the database does not answer (\x1b]0;mine\x07)" in text.getvalue()
