"""A study on its way to its horizon: working on it, and showing how far it is."""

import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import typer

from gradstudy.scripts.running.listeners import OnlyWaiting
from gradstudy.scripts.running.one_worker import Work, run_worker
from gradstudy.scripts.running.progress import Lengths, StudyProgress
from gradstudy.storage.errors import StudyDeletedError, UnavailableError
from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes, steps_under_way
from gradstudy.storage.results import Outcome
from gradstudy.study.background import in_background
from gradstudy.study.horizon.course import Stretch, is_over, next_rung, stretches
from gradstudy.study.patience import Patience
from gradstudy.study.wording import counted
from gradstudy.study.worker.failures import FailureWatch
from gradstudy.study.worker.job import Job
from gradstudy.study.worker.recovery import recover

if TYPE_CHECKING:
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import StudyRecord
    from gradstudy.study.worker.worker import Listener

SECONDS_BETWEEN_LOOKS = 0.3
"""How often the progress of a study is read from the database."""


def counts_of_open_study(database: "Database", record: "StudyRecord") -> dict[str, int] | None:
    """What there is to do, after giving back what dead workers held; None, said in a line, when all is done."""
    recover(database, record)
    counts = count_outcomes(database.engine, record)
    way = stretches(database, record)
    if not is_over(database, way):
        return counts
    longer = f", and the longer runs up to {way[-1].steps:,} steps" if len(way) > 1 else ""
    typer.echo(f"study {record.name} is done: all {record.budget} trials have ended{longer}")
    return None


def work_on_way(job: Job, work: Work, *, listener: "Listener", stop: threading.Event) -> None:
    """Work on a study and then on each rung to its horizon, until all runs have ended or ``stop`` is set."""
    patience = Patience(stop, listener.waiting)
    ask = partial(next_rung, job.database, job.record)
    run_worker(job, work, stand_by=True, listener=listener, stop=stop)
    while not stop.is_set() and (extension := patience(ask)) is not None:
        longer = Job.of(job.database, extension.record, job.data)
        run_worker(longer, work, stand_by=True, listener=listener, stop=stop)


def work_here(job: Job, work: Work, progress: StudyProgress, watch: "WayWatch", stop: threading.Event) -> None:
    """Work on a study in this process, with its progress, until all of its way has ended or ``stop`` is set."""
    if watch.is_long:
        with in_background("progress", watch.run):
            work_on_way(job, work, listener=OnlyWaiting(progress.waiting), stop=stop)
    else:
        run_worker(job, work, stand_by=True, listener=progress, stop=stop)
    watch.look()


class WayWatch:
    """Shows how far a study is on its way, whoever works on it, and notices when its trials fail."""

    def __init__(self, database: "Database", record: "StudyRecord", progress: StudyProgress) -> None:
        self._database = database
        self._record = record
        self._progress = progress
        self._way = stretches(database, record)
        self._shown = record
        self._place = max(0, sum(stretch.record is not None for stretch in self._way) - 2)
        self._failures = FailureWatch(database, record)

    @property
    def is_long(self) -> bool:
        """Whether runs of several lengths lie on the way."""
        return len(self._way) > 1

    def run(self, stop: threading.Event) -> None:
        """Look again and again until ``stop`` is set."""
        with suppress(StudyDeletedError):  # which the worker says
            while not stop.wait(SECONDS_BETWEEN_LOOKS):
                self.look()

    def look(self) -> bool:
        """Show what there is now; whether trials of the runs that are shown have failed."""
        with suppress(UnavailableError):  # the workers wait for it, and say so
            if self.is_long:
                self._way = stretches(self._database, self._record)
            place, record, counts = self._now()
            if record.identity != self._shown.identity:
                self._shown, self._failures = record, FailureWatch(self._database, record)
                for stretch in self._way[self._place + 1 : place + 1]:  # several may have begun since the last look
                    self._progress.say(in_words(stretch))
                self._place = place
            lengths, under_way = None, 0
            if self.is_long:
                lengths, under_way = self._lengths(place), steps_under_way(self._database.engine, record)
            self._progress.show(counts, lengths, under_way)
            return counts[Outcome.FAILED] > 0
        return False

    def check(self) -> None:
        """Raise TrialsFailError when the last trials failed by an exception, one after the other."""
        self._failures.check()

    def _now(self) -> "tuple[int, StudyRecord, dict[str, int]]":
        """The first stretch whose runs have not all ended, else the last that has begun."""
        found = 0, self._record, count_outcomes(self._database.engine, self._record)
        for place, stretch in enumerate(self._way[1:], 1):
            if stretch.record is None or found[2][REMAINING] + found[2][RUNNING]:
                break
            found = place, stretch.record, count_outcomes(self._database.engine, stretch.record)
        return found

    def _lengths(self, place: int) -> Lengths:
        steps = [stretch.steps * stretch.runs for stretch in self._way]
        return Lengths(self._way[place].steps, sum(steps[:place]), sum(steps[place + 1 :]))


def in_words(stretch: Stretch) -> str:
    """What is run on a stretch that has begun."""
    runs = counted(stretch.runs // stretch.settings, "run")
    return f"{stretch.steps:,} steps: {counted(stretch.settings, 'setting')}, {runs} of each"
