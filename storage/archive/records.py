"""Where the steps of a study are archived, as the database says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select, update

from gradstudy.storage.database import Database
from gradstudy.storage.errors import ArchiveError
from gradstudy.storage.schema import STUDIES, ArchivedSteps, Study
from gradstudy.storage.studies import StudyRecord, is_study
from gradstudy.storage.transactions import reading, writing


@dataclass(frozen=True, kw_only=True)
class Part:
    """A file with steps of trials.

    Attributes:
        folder: where it is.
        file: its name.
        first: the number of the first trial; others between it and the last may not be in it.
        last: the number of the last one.
        rows: how many steps it holds.
    """

    folder: Path
    file: str
    first: int
    last: int
    rows: int

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.folder / self.file


def read_parts(connection: Connection, study: StudyRecord, numbers: Sequence[int] | None = None) -> list[Part]:
    """The parts that a study has, by trial; only those that may hold one of these trials."""
    query = (
        select(ArchivedSteps)
        .join(Study, Study.study_id == ArchivedSteps.study_id)
        .where(is_study(study))
        .order_by(ArchivedSteps.first_number, ArchivedSteps.file)
    )
    parts = [
        Part(folder=Path(row.folder), file=row.file, first=row.first_number, last=row.last_number, rows=row.step_rows)
        for row in connection.execute(query.with_only_columns(*ArchivedSteps.__table__.c))
    ]
    if numbers is None:
        return parts
    return [part for part in parts if any(part.first <= number <= part.last for number in numbers)]


def archive_folder(database: Database, study: StudyRecord) -> Path | None:
    """Where the files of a study are; None where it has none."""
    with reading(database.engine) as connection:
        parts = read_parts(connection, study)
    return parts[0].folder if parts else None


def archives(database: Database) -> dict[str, Path]:
    """The studies that have files, by name, and where these are."""
    query = (
        select(STUDIES.c.study_name, ArchivedSteps.folder)
        .join_from(ArchivedSteps, STUDIES, STUDIES.c.study_id == ArchivedSteps.study_id)
        .distinct()
        .order_by(STUDIES.c.study_name)
    )
    with reading(database.engine) as connection:
        return {name: Path(folder) for name, folder in connection.execute(query)}


def move_archive(database: Database, study: StudyRecord, folder: Path) -> None:
    """Say that the files of a study are in another folder now.

    Raises:
        ArchiveError: not all of them are there.
    """
    with writing(database.engine) as connection:
        parts = read_parts(connection, study)
        missing = [part for part in parts if not (folder / part.file).is_file()]
        if missing:
            raise ArchiveError(
                f"steps of study '{study.name}' are archived in {missing[0].folder}, and {missing[0].file} is not in "
                f"{folder}; move all of its files there first, or name the folder where they are"
            )
        moved = update(ArchivedSteps).where(ArchivedSteps.study_id == study.study_id)
        connection.execute(moved.values(folder=str(folder)))
