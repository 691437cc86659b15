"""Putting archived steps back into the database."""

from collections.abc import Iterator

from sqlalchemy import delete

from gradstudy.storage.archive.part_file import read_part
from gradstudy.storage.archive.records import Part, read_parts
from gradstudy.storage.database import Database
from gradstudy.storage.errors import ArchiveError
from gradstudy.storage.schema import ArchivedSteps, Step
from gradstudy.storage.step_insert import StepInsert
from gradstudy.storage.studies import StudyRecord
from gradstudy.storage.transactions import reading, writing


def restore_steps(database: Database, study: StudyRecord) -> Iterator[Part]:
    """Put the steps of every part back, each in one transaction; the files stay.

    Yields:
        Each part once its steps are in the database.

    Raises:
        ArchiveError: a file is not there, or does not hold what was written to it.
    """
    columns = [column.name for column in Step.__table__.columns]
    with reading(database.engine) as connection:
        parts = read_parts(connection, study)
    for part in parts:
        table = read_part(part.path, study.name)
        if table.num_rows != part.rows:
            raise ArchiveError(f"{part.path} holds {table.num_rows:,} steps, but {part.rows:,} were written to it")
        rows = list(zip(*(table[name].to_pylist() for name in columns), strict=True))
        mine = (ArchivedSteps.study_id == study.study_id, ArchivedSteps.file == part.file)
        with writing(database.engine) as connection:
            # Whoever puts the same part back at this moment finds nothing to delete.
            if connection.execute(delete(ArchivedSteps).where(*mine)).rowcount == 1:
                StepInsert.of(connection.dialect, rows).run(connection)
        yield part
