"""The live display of a study that runs."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from gradstudy.scripts.printable import printable
from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
from gradstudy.storage.results import Outcome, TrialResult

if TYPE_CHECKING:
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import StudyRecord

QUIET_SHARE = 0.1
"""Where output is no terminal, one line is printed each time that this share of the trials has ended."""


class StudyProgress:
    """Shows trials done, running and diverged, trials a minute and the time left.

    A worker in this process tells it of each trial, as its listener; otherwise it is shown the database's counts.
    """

    def __init__(
        self,
        budget: int,
        counts: dict[str, int],
        console: Console | None = None,
        phase: Callable[[int], str | None] = lambda begun: None,
    ) -> None:
        """Begin from the counts that the database had; ``phase`` names what trials are for, by how many have begun."""
        self._phase = phase
        self._console = console or Console()
        self._budget = budget
        self._ended = budget - counts[REMAINING] - counts[RUNNING]
        self._before = self._ended
        self._diverged = counts[Outcome.DIVERGED]
        self._running = 0
        self._started = time.monotonic()
        self._printed = self._ended
        self._live = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._live.add_task(self.line(), total=budget, completed=self._ended)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._live.stop()
        self._console.print(self.line(), highlight=False)

    def started(self, ordinal: int) -> None:
        """See Listener."""
        self._running += 1
        self._show()

    def finished(self, ordinal: int, result: TrialResult) -> None:
        """See Listener."""
        self._running -= 1
        self._ended += 1
        self._diverged += result.outcome is Outcome.DIVERGED
        self._show()

    def show(self, counts: dict[str, int]) -> None:
        """Show what the database has counted; a study that knows enough ends before its budget."""
        self._budget = sum(counts.values())
        self._running = counts[RUNNING]
        self._ended = self._budget - counts[REMAINING] - counts[RUNNING]
        self._diverged = counts[Outcome.DIVERGED]
        self._show()

    def waiting(self, message: str) -> None:
        """See Listener."""
        self._live.console.print(Text(printable(message)))  # with what the database said: brackets in it are no markup

    def stopping(self) -> None:
        """Say that the work is being stopped in order."""
        self._live.console.print("stopping: running trials are given back (Ctrl-C again to stop at once)")

    def line(self) -> str:
        """The numbers in one line."""
        parts = [
            f"{self._ended}/{self._budget} done",
            *([named] if (named := self._phase(self._ended + self._running)) and self._ended < self._budget else []),
            f"{self._running} running",
            f"{self._diverged} diverged",
        ]
        minutes = (time.monotonic() - self._started) / 60
        new = self._ended - self._before
        if new:
            per_minute = new / minutes
            parts.append(f"{per_minute:.1f} trials/min")
            if self._ended < self._budget:
                parts.append(f"{_clock((self._budget - self._ended) / per_minute * 60)} left")
            else:
                parts.append(f"{_clock(minutes * 60)} in all")
        return " · ".join(parts)

    def _show(self) -> None:
        self._live.update(self._task, total=self._budget, completed=self._ended, description=self.line())
        if not self._console.is_terminal and self._ended - self._printed >= QUIET_SHARE * self._budget:
            self._printed = self._ended
            self._console.print(self.line(), highlight=False)


def counts_of_open_study(database: "Database", record: "StudyRecord") -> dict[str, int] | None:
    """What there is to do, after giving back what dead workers held; None, said in a line, when all is done."""
    from gradstudy.study.worker.recovery import recover

    recover(database, record)
    counts = count_outcomes(database.engine, record)
    if counts[REMAINING] or counts[RUNNING]:
        return counts
    typer.echo(f"study {record.name} is done: all {record.budget} trials have ended")
    return None


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
