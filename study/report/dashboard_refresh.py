"""Keeps what optuna-dashboard shows up to date while studies run."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError, StorageError
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.results import Outcome
from gradstudy.storage.studies import StudyRecord, list_extensions, list_studies
from gradstudy.study.background import in_background
from gradstudy.study.patience import UNANSWERED
from gradstudy.study.report.dashboard import write_content

SECONDS_BETWEEN_LOOKS = 5.0
"""How often the database is asked whether trials have ended."""

LARGEST_SHARE = 0.1
"""Of the time, how much a refresh may take: one that takes long is followed by a long wait."""


TROUBLE: tuple[type[Exception], ...] = (StorageError, *UNANSWERED)


def refreshing_dashboard(database: Database, announce: Callable[[str], None]) -> AbstractContextManager[None]:
    """Have the note and the plots written of every study in which trials have ended, or runs that extend it.

    Args:
        database: used by the thread alone.
        announce: is told when the database cannot be read or written, once until it can, and when note and plots of
            a study cannot be made, once for each error; the other studies are refreshed all the same.
    """
    return in_background("dashboard-refresher", _Refresher(database, announce).run)


class _Refresher:
    def __init__(self, database: Database, announce: Callable[[str], None]) -> None:
        self._database = database
        self._announce = announce
        self._shown: dict[str, int] = {}
        self._defects: set[str] = set()
        self._trouble = ""

    def run(self, stop: threading.Event) -> None:
        wait = 0.0
        while not stop.wait(wait):
            begun = time.monotonic()
            self._look(stop)
            wait = max(SECONDS_BETWEEN_LOOKS, (time.monotonic() - begun) / LARGEST_SHARE)

    def _look(self, stop: threading.Event) -> None:
        trouble = ""
        try:
            for record in list_studies(self._database):
                if stop.is_set():
                    return
                self._refresh(record)
        except Exception as error:  # whatever it is, the next look may do without it
            trouble = f"the notes and plots are not refreshed: {_described(error)}"
        if trouble and trouble != self._trouble:
            self._say(trouble)
        self._trouble = trouble

    def _refresh(self, record: StudyRecord) -> None:
        """Write note and plots, unless neither trials nor longer runs have ended since; so is a defect left alone."""
        try:
            counts = count_outcomes(self._database.engine, record)
            longer = [count_outcomes(self._database.engine, each) for each in list_extensions(self._database, record)]
            ended = sum(each[outcome] for each in (counts, *longer) for outcome in Outcome)
            if self._shown.get(record.identity) != ended:
                self._shown[record.identity] = ended
                write_content(self._database, record, counts)
        except NotFoundError:
            self._shown.pop(record.identity, None)  # it was deleted at this moment
        except TROUBLE:
            self._shown.pop(record.identity, None)
            raise
        except Exception as error:
            defect = f"the note and plots of study {record.name!r} are not refreshed: {_described(error)}"
            if defect not in self._defects:
                self._defects.add(defect)
                self._say(defect)

    def _say(self, text: str) -> None:
        with suppress(OSError):  # nobody reads what is said any more
            self._announce(text)


def _described(error: Exception) -> str:
    """An error in one line, with its kind where it is none that is expected."""
    text = " ".join(str(error).split())
    return text if isinstance(error, TROUBLE) else f"{type(error).__name__}: {text}"
