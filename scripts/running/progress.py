"""The live display of a study that runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from gradstudy.scripts.printable import printable
from gradstudy.storage.results import REMAINING, RUNNING, Outcome

if TYPE_CHECKING:
    from gradstudy.storage.results import TrialResult

QUIET_SHARE = 0.1
"""Where output is no terminal, one line is printed each time that this share of the trials has ended."""


@dataclass(frozen=True)
class Lengths:
    """Where the trials that are shown are on a way of runs of several lengths.

    Attributes:
        steps: of each trial that is shown.
        before: steps of the trials before these.
        after: steps of those that come after them.
    """

    steps: int
    before: int
    after: int


class StudyProgress:
    """Shows trials done, running and diverged, trials a minute and the time left; by steps where lengths differ.

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
        self._lengths: Lengths | None = None
        self._under_way = 0
        self._steps_before: int | None = None
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

    def finished(self, ordinal: int, result: "TrialResult") -> None:
        """See Listener."""
        self._running -= 1
        self._ended += 1
        self._diverged += result.outcome is Outcome.DIVERGED
        self._show()

    def show(self, counts: dict[str, int], lengths: Lengths | None = None, under_way: int = 0) -> None:
        """Show what the database has counted; a study that knows enough ends before its budget.

        Args:
            counts: of the trials.
            lengths: where they are on a way of runs of several lengths; None where all have one length.
            under_way: steps that the trials which run are known to have made.
        """
        self._budget = sum(counts.values())
        self._running = counts[RUNNING]
        self._ended = self._budget - counts[REMAINING] - counts[RUNNING]
        self._diverged = counts[Outcome.DIVERGED]
        if lengths != self._lengths:
            self._lengths = lengths
            self._printed = self._ended
        self._under_way = under_way
        if lengths is not None and self._steps_before is None:
            self._steps_before, _ = self._steps(lengths)
        self._show()

    def say(self, line: str) -> None:
        """Print a line above what is shown."""
        self._live.console.print(line, highlight=False, markup=False)

    def waiting(self, message: str) -> None:
        """See Listener."""
        self._live.console.print(Text(printable(message)))  # with what the database said: brackets in it are no markup

    def stopping(self) -> None:
        """Say that the work is being stopped in order."""
        self._live.console.print("stopping: running trials are given back (Ctrl-C again to stop at once)")

    def line(self) -> str:
        """The numbers in one line."""
        first = self._lengths is None or not self._lengths.before
        named = self._phase(self._ended + self._running) if first and self._ended < self._budget else None
        parts = [
            f"{self._ended}/{self._budget} done",
            *([named] if named else []),
            f"{self._running} running",
            f"{self._diverged} diverged",
        ]
        seconds = time.monotonic() - self._started
        if self._lengths is not None:
            return " · ".join([f"{self._lengths.steps:,} steps: {parts[0]}", *parts[1:], *self._in_steps(seconds)])
        new = self._ended - self._before
        if new:
            per_minute = new / seconds * 60
            parts.append(f"{per_minute:.1f} trials/min")
            parts.append(_left((self._budget - self._ended) / per_minute * 60, seconds))
        return " · ".join(parts)

    def _in_steps(self, seconds: float) -> list[str]:
        """How far the whole way is, in steps."""
        assert self._lengths is not None
        done, planned = self._steps(self._lengths)
        parts = [f"{done:,}/{planned:,} steps"]
        new = done - (self._steps_before or 0)
        if new > 0:
            parts += [f"{new / seconds:,.0f} steps/s", _left((planned - done) / new * seconds, seconds)]
        return parts

    def _steps(self, lengths: Lengths) -> tuple[int, int]:
        """Steps done and planned; a trial that ended early has nothing left to do, and counts as a whole one."""
        done = lengths.before + self._ended * lengths.steps + self._under_way
        return done, lengths.before + self._budget * lengths.steps + lengths.after

    def _show(self) -> None:
        total, completed = self._budget, self._ended
        if self._lengths is not None:
            completed, total = self._steps(self._lengths)
        self._live.update(self._task, total=total, completed=completed, description=self.line())
        if not self._console.is_terminal and self._ended - self._printed >= QUIET_SHARE * self._budget:
            self._printed = self._ended
            self._console.print(self.line(), highlight=False)


def _left(seconds: float, before: float) -> str:
    """The time that is left; when nothing is, the time that it took."""
    return f"{_clock(seconds)} left" if seconds > 0 else f"{_clock(before)} in all"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
