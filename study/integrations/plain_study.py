"""A study that a plain Optuna program made: read anew at every call, and never written to."""

from collections.abc import Sequence

import pandas as pd

from gradstudy.storage.plain_studies import read_plain_study
from gradstudy.study.integrations.findings import Findings, find
from gradstudy.study.integrations.reading import Reading
from gradstudy.study.integrations.rows import to_record, to_rows, to_steps
from gradstudy.study.report.report import Report, build_report


class PlainStudy:
    """A study as ``gradstudy.study.opened_study`` reads it.

    Attributes:
        record: what is known of it.
        shown: where it is, for printing.
    """

    def __init__(self, name: str, url: str, reading: Reading) -> None:
        """Read it once.

        Args:
            name: of the study.
            url: of its storage.
            reading: what a person says about it.

        Raises:
            NotFoundError: there is no such storage or study.
            UnreadableStudyError: what its parameters or objective are cannot be told.
        """
        self._name, self._url, self._reading = name, url, reading
        found = self._read()
        self.shown = found.plain.source
        self.record = to_record(found)

    def trials(self) -> pd.DataFrame:
        """How trials ended, as rows of ``trial_result``."""
        return to_rows(self._read())

    def steps(self, numbers: Sequence[int] | None, every: int) -> pd.DataFrame:
        """What trials reported, as rows of ``step_result``."""
        steps = to_steps(self._read())
        last = steps.groupby("number")["step"].transform("max")
        chosen = steps[(steps["step"] % every == 0) | (steps["step"] == last)]
        return chosen if numbers is None else chosen[chosen["number"].isin(numbers)]

    def report(self) -> Report:
        """Everything that a report shows."""
        found = self._read()
        return build_report(to_record(found), to_rows(found), self.shown)

    def close(self, raised: BaseException | None) -> None:
        """Nothing is open between two calls."""

    def _read(self) -> Findings:
        return find(read_plain_study(self._url, self._name), self._reading)
