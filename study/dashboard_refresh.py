"""Keeps what optuna-dashboard shows up to date while studies run."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError, StorageError
from gradstudy.storage.outcomes import Outcome
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.studies import StudyRecord, list_studies
from gradstudy.study.dashboard import write_content
from gradstudy.study.patience import UNANSWERED

SECONDS_BETWEEN_LOOKS = 5.0
"""How often the database is asked whether trials have ended."""

LARGEST_SHARE = 0.1
"""Of the time, how much a refresh may take: one that takes long is followed by a long wait."""


class DashboardRefresher:
    """A thread that writes the note and the plots of every study in which trials have ended."""

    def __init__(self, database: Database, announce: Callable[[str], None]) -> None:
        """Prepare the thread; it runs within a ``with`` block.

        Args:
            database: used by this thread alone.
            announce: is told when the database cannot be read or written, once until it can.
        """
        self._database = database
        self._announce = announce
        self._shown: dict[int, int] = {}
        self._trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dashboard-refresher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        wait = 0.0
        while not self._stop.wait(wait):
            begun = time.monotonic()
            self._look()
            wait = max(SECONDS_BETWEEN_LOOKS, (time.monotonic() - begun) / LARGEST_SHARE)

    def _look(self) -> None:
        trouble = ""
        try:
            for record in list_studies(self._database):
                if self._stop.is_set():
                    return
                self._refresh(record)
        except (StorageError, *UNANSWERED) as error:
            trouble = f"the notes and plots are not refreshed: {' '.join(str(error).split())}"
        if trouble and trouble != self._trouble:
            self._announce(trouble)
        self._trouble = trouble

    def _refresh(self, record: StudyRecord) -> None:
        try:
            counts = count_outcomes(self._database.engine, record.study_id)
            ended = sum(counts[outcome] for outcome in Outcome)
            if self._shown.get(record.study_id) != ended:
                write_content(self._database, record, counts)
                self._shown[record.study_id] = ended
        except NotFoundError:
            self._shown.pop(record.study_id, None)  # it was deleted at this moment
