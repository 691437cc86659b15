"""What a report is made from, in a few letters: where these are the same, so is the report."""

from hashlib import sha256
from importlib.metadata import version

from sqlalchemy import func, or_, select

from gradstudy.storage.database import Database
from gradstudy.storage.ended import read_ended
from gradstudy.storage.optuna_internals import TRIALS
from gradstudy.storage.schema import STUDIES, Study, Trial
from gradstudy.storage.studies import StudyRecord
from gradstudy.storage.transactions import reading
from gradstudy.study.answer.confirmation_study import confirmation_name


def report_version(database: Database, record: StudyRecord) -> str:
    """The version of the report of a study that gradstudy launched: two quick queries, however many trials there are.

    It is another one when trials have ended or are excluded, in the study, in the one that confirms it or in those that
    extend it.

    Raises:
        UnavailableError: the database does not answer.
    """
    of_report = or_(
        Study.identity == record.identity,
        Study.extends == record.identity,
        STUDIES.c.study_name == confirmation_name(record.name),
    )
    last = select(func.max(Trial.finished_at)).where(Trial.study_id == Study.study_id).scalar_subquery()
    family = (
        select(Study.study_id, Study.identity, Study.budget, last.label("last"))
        .join_from(Study, STUDIES, STUDIES.c.study_id == Study.study_id)
        .where(of_report)
        .order_by(Study.study_id)
    )
    with reading(database.engine) as connection:
        studies = connection.execute(family).all()
        ended = read_ended(connection, [study.study_id for study in studies])
    return _digest([*map(str, studies), *sorted(map(str, ended.items()))])


def plain_report_version(database: Database, name: str) -> str:
    """The version of the report of a study that another program made in this database.

    Raises:
        UnavailableError: the database does not answer.
    """
    ended = select(TRIALS.c.study_id, TRIALS.c.state, func.count(), func.max(TRIALS.c.datetime_complete))
    of_study = ended.join_from(TRIALS, STUDIES, STUDIES.c.study_id == TRIALS.c.study_id)
    query = of_study.where(STUDIES.c.study_name == name).group_by(TRIALS.c.study_id, TRIALS.c.state)
    with reading(database.engine) as connection:
        return _digest(sorted(map(str, connection.execute(query))))


def _digest(parts: list[str]) -> str:
    return sha256("\n".join([version("gradstudy"), *parts]).encode()).hexdigest()[:16]
