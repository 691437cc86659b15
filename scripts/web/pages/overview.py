"""All studies of a database, a page of them at a time."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select

from gradstudy.scripts.web.pages.study_row import StudyRow, read_rows
from gradstudy.storage.database import Database
from gradstudy.storage.ended import NOTHING, read_ended
from gradstudy.storage.schema import STUDIES, Study
from gradstudy.storage.studies import read_records
from gradstudy.storage.transactions import reading

STUDIES_OF_A_PAGE = 50


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A page of studies.

    Attributes:
        rows: open studies first, the newest first.
        page: which one, from 1.
        pages: how many there are.
        open_studies: on all pages.
        studies: on all pages.
        others: names of studies that other programs made, the first of them.
        more_others: how many further ones there are.
    """

    rows: list[StudyRow]
    page: int
    pages: int
    open_studies: int
    studies: int
    others: list[str]
    more_others: int


def read_overview(database: Database, containing: str, page: int) -> Overview:
    """Read a page of the studies whose names contain a text; the last one where there are fewer.

    Raises:
        UnavailableError: the database does not answer.
    """
    is_wanted = STUDIES.c.study_name.icontains(containing, autoescape=True)
    with reading(database.engine) as connection:
        ended = read_ended(connection)
        ours = select(Study.study_id, Study.budget).join_from(Study, STUDIES, STUDIES.c.study_id == Study.study_id)
        found = connection.execute(ours.where(is_wanted)).all()
        is_open = {study.study_id: study.budget > ended.get(study.study_id, NOTHING).trials for study in found}
        order = sorted(is_open, key=lambda study_id: (not is_open[study_id], -study_id))
        pages = max(1, -(-len(order) // STUDIES_OF_A_PAGE))
        page = min(max(page, 1), pages)
        shown = order[(page - 1) * STUDIES_OF_A_PAGE : page * STUDIES_OF_A_PAGE]
        records = {record.study_id: record for record in read_records(connection, shown)}
        rows = read_rows(connection, [records[study_id] for study_id in shown])
        others, more_others = _others(connection, is_wanted)
    return Overview(
        rows=rows,
        page=page,
        pages=pages,
        open_studies=sum(is_open.values()),
        studies=len(order),
        others=others,
        more_others=more_others,
    )


def _others(connection: Connection, is_wanted: ColumnElement[bool]) -> tuple[list[str], int]:
    """The first names of studies that other programs made, and how many more there are."""
    of_others = STUDIES.c.study_id.not_in(select(Study.study_id))
    count = connection.scalar(select(func.count()).select_from(STUDIES).where(of_others, is_wanted)) or 0
    names = select(STUDIES.c.study_name).where(of_others, is_wanted).order_by(STUDIES.c.study_id.desc())
    found = list(connection.scalars(names.limit(STUDIES_OF_A_PAGE)))
    return found, count - len(found)
