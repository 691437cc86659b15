"""A study in Python: its results as pandas frames."""

import os
from collections.abc import Sequence
from typing import Any, Self

import pandas as pd

from gradstudy.storage.database import Database
from gradstudy.storage.default_storage import DEFAULT_STORAGE, STORAGE_VARIABLE
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.storage.studies import StudyRecord, find_study
from gradstudy.study.report import sentences
from gradstudy.study.report.report import Report, read_report


def open_study(name: str, storage: str | None = None) -> "OpenStudy":
    """Open a study to read it.

    Args:
        name: of the study.
        storage: URL of the database; ``GRADSTUDY_STORAGE`` where not given, else ``sqlite:///gradstudy.db``.

    Raises:
        NotFoundError: there is no such database or study.
    """
    database = Database.open(storage or os.environ.get(STORAGE_VARIABLE) or DEFAULT_STORAGE)
    try:
        return OpenStudy(database, find_study(database, name))
    except BaseException:
        database.close()
        raise


class OpenStudy:
    """A study that can be read; every call reads anew, so it can be watched while it runs.

    Attributes:
        name: of the study.
        spec: what was launched, as JSON holds it.
    """

    def __init__(self, database: Database, record: StudyRecord) -> None:
        """Use `open_study`."""
        self.name = record.name
        self.spec: dict[str, Any] = record.spec
        self._database = database

    def trials(self) -> pd.DataFrame:
        """The view ``trial_result``, one row for each trial, by number."""
        return read_trials(self._database, self.name)

    def steps(self, numbers: Sequence[int] | None = None, every: int = 1) -> pd.DataFrame:
        """The view ``step_result``, by number and step.

        Args:
            numbers: of the trials; None for all.
            every: only steps that are a multiple of it, and the last of each trial.
        """
        return read_steps(self._database, self.name, numbers, every)

    def frontier(self) -> pd.DataFrame:
        """The largest safe learning rate by cell, strategy and threshold, see ``gradstudy.study.frontier.table``."""
        return self.summary().frontiers

    def report(self) -> pd.DataFrame:
        """One row for each cell and strategy: divergence rate, frontiers, the worth of its best setting."""
        return self.summary().strategies

    def summary(self) -> Report:
        """The recommendation and every table of the report."""
        return read_report(self._database, self.name)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<study {self.name!r} in {self._database.display_url}>"

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
