"""The diagnosis of logs: each run of each, and what they have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from gradstudy.study.diagnosis.run_diagnosis import RunDiagnosis
from gradstudy.study.diagnosis.run_watch import RunWatch
from gradstudy.study.errors import LogError
from gradstudy.study.integrations.logs.columns import Columns, choose_columns, shown
from gradstudy.study.integrations.logs.entry import Log
from gradstudy.study.integrations.logs.found_logs import find_logs

SURVEYED = 10_000
"""Records in which all columns are looked for; where they hold no loss, the rest is looked through."""
MOST_COLUMNS = 1000
"""Of a log that are remembered: a text may have a word before each of its numbers."""
REPLACED = "\N{REPLACEMENT CHARACTER}"
MOST_RUNS = 1000
"""Of a log: more are no runs, but a column that was taken for their name."""


@dataclass(frozen=True)
class Diagnosis:
    """Of some logs.

    Attributes:
        runs: in the order of the logs.
        without_loss: logs of a folder in which nothing like a loss was found.
    """

    runs: Sequence[RunDiagnosis]
    without_loss: Sequence[str] = ()

    @property
    def has_bad(self) -> bool:
        """Whether a run diverged, or never had a finite loss."""
        return any(run.is_bad for run in self.runs)

    @cached_property
    def shared_steps(self) -> Mapping[float, Sequence[RunDiagnosis]]:
        """Steps at which more than one run broke that had been well until then, and these runs."""
        by_step: dict[float, list[RunDiagnosis]] = {}
        for run in self.runs:
            if run.broke_at is not None:
                by_step.setdefault(run.broke_at, []).append(run)
        return {step: runs for step, runs in by_step.items() if len(runs) > 1}


def diagnose(
    paths: Sequence[Path], given: Mapping[str, str] | None = None, untrained: float | None = None
) -> Diagnosis:
    """Say what happened in logs.

    Args:
        paths: files, and folders that are searched for logs.
        given: names of columns by what they are: ``loss``, ``norm``, ``rate``, ``step``; others are recognised.
        untrained: the loss of the untrained model; without it the first loss of a log stands for it.

    Raises:
        LogError: a log cannot be read; a file that was named, or every log of a folder, has nothing like a loss.
    """
    runs: list[RunDiagnosis] = []
    without: list[str] = []
    named = {str(path) for path in paths if not path.is_dir()}
    why = ""
    for log in find_logs(paths):
        seen = _survey(log)
        lacks_named = log.name not in named and not seen.keys() >= set((given or {}).values())
        columns = None if lacks_named else choose_columns(seen, given or {}, log.name)
        if columns is None:
            why = (
                f"{log.name} (read as {log.form}) has no loss: it has {shown(seen)}; "
                "--loss COLUMN names the one to judge by"
            )
            if log.name in named:
                raise LogError(why)
            without.append(log.name)
        else:
            runs += _of_log(log, columns, untrained)
    if not runs:
        raise LogError(why)
    return Diagnosis(runs, without)


def _survey(log: Log) -> dict[str, int]:
    """The names of the numbers in a log, in the order in which they come, with how many there are of each."""
    seen: dict[str, int] = {}
    entries = log.read(None)
    for entry in islice(entries, SURVEYED):
        for name in entry.values:
            seen[name] = seen.get(name, 0) + 1
    if choose_columns(seen, {}, log.name) is None:
        for entry in entries:
            if not seen.keys() >= entry.values.keys() and len(seen) < MOST_COLUMNS:
                seen.update({name: seen.get(name, 0) + 1 for name in entry.values})
    return seen


def _of_log(log: Log, columns: Columns, untrained: float | None) -> list[RunDiagnosis]:
    """The diagnoses of a log's runs, those that have a loss."""
    watches: dict[str, RunWatch] = {}
    ended: list[RunWatch] = []
    parts: dict[str, int] = {}
    for run, values in log.read(columns.wanted):
        watch = watches.get(run)
        if watch is None:
            if len(watches) >= MOST_RUNS:
                raise LogError(f"{log.name} has more than {MOST_RUNS:,} runs")
            watch = watches[run] = RunWatch(_shown(f"{log.name}: {run}" if run else log.name), columns, untrained)
        if not watch.take(values):
            ended.append(watch)
            parts[run] = parts.get(run, 1) + 1
            name = watch.name.removesuffix(f", part {parts[run] - 1}")
            watch = watches[run] = RunWatch(f"{name}, part {parts[run]}", columns, untrained)
            watch.take(values)
    return [watch.diagnosis() for watch in [*ended, *watches.values()] if watch.has_loss]


def _shown(name: str) -> str:
    """A name, in which what a terminal would obey is replaced."""
    return "".join(letter if letter.isprintable() else REPLACED for letter in name)
