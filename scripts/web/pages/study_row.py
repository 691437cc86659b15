"""How far a study is, as pages show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from sqlalchemy import Connection

from gradstudy.storage.progress import EXCLUDED, REMAINING, RUNNING, count_outcomes_of
from gradstudy.storage.results import Outcome
from gradstudy.storage.set_aside import Reason, read_reasons
from gradstudy.storage.studies import StudyRecord
from gradstudy.study.report.dashboard.answer_line import AnswerLine, read_answer_lines

SHOWN = (*map(str, Outcome), EXCLUDED, RUNNING)
"""What trials are counted as, in the order in which they are shown."""
ELSEWHERE = ("", ".", "..")
"""Names that a browser takes out of an address."""


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """A study and how far it is.

    Attributes:
        record: of the study.
        counts: see ``gradstudy.storage.progress.count_outcomes``.
        answer: in one line, as it was when trials had last ended; None as long as no report was made.
        set_aside: why workers leave it alone.
    """

    record: StudyRecord
    counts: dict[str, int]
    answer: AnswerLine | None
    set_aside: list[Reason]

    @property
    def is_open(self) -> bool:
        """Whether trials are left to be made, or to end."""
        return self.counts[REMAINING] + self.counts[RUNNING] > 0

    @property
    def ended(self) -> int:
        """How many trials have ended."""
        return self.record.budget - self.counts[REMAINING] - self.counts[RUNNING]

    @property
    def outcomes(self) -> dict[str, int]:
        """How many trials there are of each kind that there is."""
        return {name: self.counts[name] for name in SHOWN if self.counts.get(name)}

    @property
    def in_words(self) -> str:
        """Progress and outcomes."""
        counts = ", ".join(f"{count:,} {name}" for name, count in self.outcomes.items())
        return f"{self.ended:,} of {self.record.budget:,} trials" + (f": {counts}" if counts else "")

    @property
    def parts(self) -> list[tuple[str, float, float]]:
        """Of a bar: outcome, where its part begins and how wide it is, in percent."""
        begun, found = 0, []
        for name, count in self.outcomes.items():
            found.append((name, 100 * begun / self.record.budget, 100 * count / self.record.budget))
            begun += count
        return found


def read_rows(connection: Connection, records: Sequence[StudyRecord]) -> list[StudyRow]:
    """How far studies are, in their order."""
    counts = count_outcomes_of(connection, records)
    answers, reasons = read_answer_lines(connection, records), read_reasons(connection)
    return [
        StudyRow(
            record=record,
            counts=counts[record.study_id],
            answer=answers.get(record.study_id),
            set_aside=reasons.get(record.study_id, []),
        )
        for record in records
    ]


def address_of(name: str, root: str = "/studies/") -> str:
    """Where the page of a study is, whatever letters its name has."""
    return f"{root}?{urlencode({'name': name})}" if name in ELSEWHERE else f"{root}{quote(name, safe='')}"
