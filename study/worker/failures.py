"""When trials fail one after the other, the work stops: the user's code is at fault, and says how."""

from typing import TYPE_CHECKING

from gradstudy.storage.database import Database
from gradstudy.storage.progress import errors_of_last, last_finished
from gradstudy.storage.studies import StudyRecord
from gradstudy.study.errors import TrialsFailError

if TYPE_CHECKING:
    from datetime import datetime

FAILURES_IN_A_ROW = 5
"""How many trials in a row that end by an exception stop the work."""


class FailureWatch:
    """Watches the trials of a study that end from now on, whoever trains them."""

    def __init__(self, database: Database, record: StudyRecord) -> None:
        """Begin to watch: failures of earlier launches do not count."""
        self._database = database
        self._record = record
        self._since: datetime | None = last_finished(database.engine, record.study_id)

    def check(self) -> None:
        """Raise TrialsFailError when the last trials that ended, or all of the study, failed by an exception."""
        errors = errors_of_last(self._database.engine, self._record.study_id, FAILURES_IN_A_ROW, self._since)
        failures = [error for error in errors if error is not None]
        if len(failures) == len(errors) == min(FAILURES_IN_A_ROW, self._record.budget):
            raise TrialsFailError(len(failures), failures[0])
