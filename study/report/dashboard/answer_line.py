"""The answer of a study in one line, kept with the study: a page of a thousand studies makes no report for it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from sqlalchemy import Connection

from gradstudy.storage.studies import StudyRecord
from gradstudy.storage.study_attributes import read_attributes
from gradstudy.study.report import sentences
from gradstudy.study.report.report import Report

ANSWER_LINE = "gradstudy:answer"
"""Under this name a study keeps it."""


@dataclass(frozen=True, kw_only=True)
class AnswerLine:
    """What a report said when so many trials had ended.

    Attributes:
        setting: that it recommends, or why there is none.
        standing: how far it can be trusted, in a word; empty where there is no answer.
        ended: which trials it rests on, as text that is compared.
        identity: of the study.
        version: of gradstudy, whose next one may say something else.
    """

    setting: str
    standing: str
    ended: str
    identity: str
    version: str = version("gradstudy")

    @classmethod
    def of(cls, report: Report, ended: str) -> "AnswerLine":
        """The line of a report."""
        standing = sentences.standing(report).partition(":")[0]
        setting = sentences.setting(report) if report.outcomes else ""
        return cls(setting=setting, standing=standing, ended=ended, identity=report.study.identity)

    def attributes(self) -> dict[str, Any]:
        """What is kept with the study."""
        return {ANSWER_LINE: asdict(self)}


def read_answer_lines(connection: Connection, studies: Sequence[StudyRecord]) -> dict[int, AnswerLine]:
    """The lines that studies keep which this version wrote, by ``study_id``."""
    identities = {study.study_id: study.identity for study in studies}
    kept = read_attributes(connection, ANSWER_LINE, list(identities))
    fields = set(AnswerLine.__dataclass_fields__)
    lines = {study_id: AnswerLine(**values) for study_id, values in kept.items() if set(values) == fields}
    current = version("gradstudy")
    return {
        study_id: line
        for study_id, line in lines.items()
        if line.identity == identities[study_id] and line.version == current
    }
