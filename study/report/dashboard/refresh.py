"""Keeps what optuna-dashboard shows up to date while studies run."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress

from gradstudy.storage.database import Database
from gradstudy.storage.ended import NOTHING, Ended, read_ended
from gradstudy.storage.errors import NotFoundError, StorageError
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.results import EXCLUDED
from gradstudy.storage.studies import StudyRecord, list_studies
from gradstudy.storage.transactions import reading
from gradstudy.study.answer.confirmation_study import confirmation_name
from gradstudy.study.background import in_background
from gradstudy.study.patience import UNANSWERED
from gradstudy.study.report.dashboard.answer_line import read_answer_lines
from gradstudy.study.report.dashboard.content import write_content

SECONDS_BETWEEN_LOOKS = 5.0
"""How often the database is asked whether trials have ended."""

LARGEST_SHARE = 0.1
"""Of the time, how much a refresh may take: one that takes long is followed by a long wait."""

LONGEST_LOOK_SECONDS = 10.0
"""After which the rest of the studies waits for the next look, which begins with those that are open."""

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
        self._shown: dict[str, str] = {}
        """What had ended when the note of a study was written, by its identity, see ``_in_words``."""
        self._defects: set[str] = set()
        self._trouble = ""
        self._behind = False
        """Whether studies wait that have no note yet, as after the first start; then it works most of the time."""

    def run(self, stop: threading.Event) -> None:
        wait = 0.0
        while not stop.wait(wait):
            begun = time.monotonic()
            self._look(stop)
            rest = 0.0 if self._behind else (time.monotonic() - begun) / LARGEST_SHARE
            wait = max(SECONDS_BETWEEN_LOOKS, rest)

    def _look(self, stop: threading.Event) -> None:
        """Refresh the studies in which something has ended since, open ones first; what takes too long waits."""
        trouble, end, changed = "", time.monotonic() + LONGEST_LOOK_SECONDS, list[tuple[StudyRecord, str]]()
        try:
            changed = self._changed()
            for record, ended in changed:
                if stop.is_set() or time.monotonic() > end:
                    break
                self._refresh(record, ended)
        except Exception as error:  # whatever it is, the next look may do without it
            trouble = f"the notes and plots are not refreshed: {_described(error)}"
        self._behind = not trouble and any(record.identity not in self._shown for record, _ in changed)
        if trouble and trouble != self._trouble:
            self._say(trouble)
        self._trouble = trouble

    def _changed(self) -> list[tuple[StudyRecord, str]]:
        """The studies whose notes are older than what has ended in them, and what that is."""
        records = list_studies(self._database)
        with reading(self._database.engine) as connection:
            ended = read_ended(connection)
            if not self._shown:
                written = read_answer_lines(connection, records)
                self._shown = {line.identity: line.ended for line in written.values()}
        of_each = _in_words(records, ended)
        records.sort(key=lambda record: (ended.get(record.study_id, NOTHING).trials >= record.budget, -record.study_id))
        changed = [(record, of_each[record.identity]) for record in records]
        return [(record, now) for record, now in changed if self._shown.get(record.identity) != now]

    def _refresh(self, record: StudyRecord, ended: str) -> None:
        """Write note and plots; a study with a defect is left alone until something has ended again."""
        try:
            self._shown[record.identity] = ended
            write_content(self._database, record, count_outcomes(self._database.engine, record), ended)
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


def _in_words(records: Sequence[StudyRecord], ended: Mapping[int, Ended]) -> dict[str, str]:
    """How many trials have ended and are excluded, by identity: of a study, of what confirms it and what extends it."""
    by_name = {record.name: record for record in records}
    longer: dict[str | None, list[StudyRecord]] = {}
    for record in records:
        longer.setdefault(record.extends, []).append(record)
    of_each: dict[str, str] = {}
    for record in records:
        family = [record, *longer.get(record.identity, ())]
        if (confirmation := by_name.get(confirmation_name(record.name))) is not None:
            family.append(confirmation)
        found = [ended.get(each.study_id, NOTHING) for each in family]
        excluded = sum(each.counts[EXCLUDED] for each in found)
        of_each[record.identity] = f"{sum(each.trials for each in found)} ended, {excluded} excluded"
    return of_each


def _described(error: Exception) -> str:
    """An error in one line, with its kind where it is none that is expected."""
    text = " ".join(str(error).split())
    return text if isinstance(error, TROUBLE) else f"{type(error).__name__}: {text}"
