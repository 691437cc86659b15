"""A study in Python: its results as pandas frames."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

import pandas as pd

from gradstudy.storage.database import Database
from gradstudy.storage.default_storage import DEFAULT_STORAGE, STORAGE_VARIABLE
from gradstudy.storage.errors import PlainDatabaseError, PlainStudyError
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.storage.journal_file import journal_path
from gradstudy.storage.studies import StudyRecord, find_study
from gradstudy.study.errors import UnreadableStudyError
from gradstudy.study.integrations.reading import Failures, Reading
from gradstudy.study.report import sentences
from gradstudy.study.report.report import Report, read_report


def open_study(
    name: str,
    storage: str | None = None,
    *,
    axes: Mapping[str, str] | None = None,
    objective: str | int | None = None,
    untrained: float | None = None,
    failures: Failures | None = None,
) -> "OpenStudy":
    """Open a study to read it: one that gradstudy launched, or one that a plain Optuna program made.

    Args:
        name: of the study.
        storage: URL of the database, or ``journal:///FILE``; ``GRADSTUDY_STORAGE`` where not given, else
            ``sqlite:///gradstudy.db``.
        axes: of a plain study, which parameters are ``learning_rate``, ``threshold``, ``strategy`` and ``cell``, where
            their names do not say it.
        objective: of a plain study with several, its place, from 0, or its name.
        untrained: of a plain study, the objective of the untrained model.
        failures: of a plain study, what trials are that failed and left no value, ``diverged`` or ``failed``.

    Raises:
        NotFoundError: there is no such database or study.
        UnreadableStudyError: what a plain study's parameters or objective are cannot be told, or something was said
            about it that does not fit.
    """
    url = storage or os.environ.get(STORAGE_VARIABLE) or DEFAULT_STORAGE
    reading = Reading(axes=dict(axes or {}), objective=objective, untrained=untrained, failures=failures)
    launched = None if journal_path(url) else _launched(name, url)
    if launched is None:
        from gradstudy.study.integrations.plain_study import PlainStudy  # needs Optuna, which other studies do not

        return OpenStudy(PlainStudy(name, url, reading))
    if reading.is_given:
        launched.close(None)
        raise UnreadableStudyError(
            f"study {name!r} was launched by gradstudy, which knows its parameters, objective and untrained loss: "
            "nothing is to be said about them"
        )
    return OpenStudy(launched)


def _launched(name: str, url: str) -> "LaunchedStudy | None":
    """A study that gradstudy launched; None where it is of another program."""
    try:
        database = Database.open(url)
    except PlainDatabaseError:
        return None
    try:
        return LaunchedStudy(database, find_study(database, name))
    except PlainStudyError:
        database.close()
        return None
    except BaseException as error:
        database.__exit__(type(error), error)
        raise


class Source(Protocol):
    """Where a study is read from; what it gives is described in ``OpenStudy``."""

    @property
    def record(self) -> StudyRecord:
        """The study."""
        ...

    @property
    def shown(self) -> str:
        """Where it is, for printing."""
        ...

    def trials(self) -> pd.DataFrame:
        """Rows of ``trial_result``."""
        ...

    def steps(self, numbers: Sequence[int] | None, every: int) -> pd.DataFrame:
        """Rows of ``step_result``."""
        ...

    def report(self) -> Report:
        """Everything that a report shows."""
        ...

    def close(self, raised: BaseException | None) -> None:
        """Let go of it, because of what was raised or without that."""


class LaunchedStudy:
    """A study that gradstudy launched.

    Attributes:
        record: of it.
    """

    def __init__(self, database: Database, record: StudyRecord) -> None:
        self.record = record
        self._database = database

    @property
    def shown(self) -> str:
        """The database, for printing."""
        return self._database.display_url

    def trials(self) -> pd.DataFrame:
        """The view ``trial_result``."""
        return read_trials(self._database, self.record.name, excluded=True)

    def steps(self, numbers: Sequence[int] | None, every: int) -> pd.DataFrame:
        """The view ``step_result``."""
        return read_steps(self._database, self.record.name, numbers, every)

    def report(self) -> Report:
        """Everything that a report shows."""
        return read_report(self._database, self.record.name)

    def close(self, raised: BaseException | None) -> None:
        """Close the database; where a broken file was the cause, that is said instead."""
        self._database.__exit__(None if raised is None else type(raised), raised)


class OpenStudy:
    """A study that can be read; every call reads anew, so it can be watched while it runs.

    Attributes:
        name: of the study.
        spec: what was launched, as JSON holds it; of a plain study what is known in its place.
    """

    def __init__(self, source: Source) -> None:
        """Use `open_study`."""
        self.name = source.record.name
        self.spec: dict[str, Any] = source.record.spec
        self._source = source

    def trials(self) -> pd.DataFrame:
        """The view ``trial_result``, one row for each trial, by number; ``excluded`` says which count nowhere."""
        return self._source.trials()

    def steps(self, numbers: Sequence[int] | None = None, every: int = 1) -> pd.DataFrame:
        """The view ``step_result``, by number and step; of a plain study what its trials reported.

        Args:
            numbers: of the trials; None for all.
            every: only steps that are a multiple of it, and the last of each trial.
        """
        return self._source.steps(numbers, every)

    def frontier(self) -> pd.DataFrame:
        """The largest safe learning rate by cell, strategy and threshold, see ``gradstudy.study.frontier.table``."""
        return self.summary().frontiers

    def report(self) -> pd.DataFrame:
        """One row for each cell and strategy: divergence rate, frontiers, the worth of its best setting."""
        return self.summary().strategies

    def summary(self) -> Report:
        """The recommendation and every table of the report."""
        return self._source.report()

    def close(self) -> None:
        """Close the database."""
        self._source.close(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, raised: BaseException | None, *where: object) -> None:
        self._source.close(raised)

    def __repr__(self) -> str:
        return f"<study {self.name!r} in {self._source.shown}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the answer and the table of strategies."""
        from html import escape

        from gradstudy.study.report.tables import TITLES, text_table

        report = self.summary()
        lines = [sentences.title(report), sentences.progress(report), *sentences.evidence(report)]
        parts = [f"<h3>{escape(self.name)}: {escape(sentences.setting(report))}</h3>"]
        parts += [f"<p>{escape(line)}</p>" for line in lines]
        if (code := sentences.code(report)) is not None:
            parts.append(f"<pre>{escape(code)}</pre>")
        if not report.strategies.empty:
            table = text_table("strategies", *TITLES["strategies"], report.strategies)
            shown = pd.DataFrame([[cell for cell, _ in row] for row in table.rows], columns=table.headings)
            parts.append(shown.to_html(index=False, border=0))
        return "\n".join(parts)
