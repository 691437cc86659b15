"""Rows of ``step_result`` that are in files."""

from collections.abc import Sequence

import pandas as pd
from sqlalchemy import Connection, text

from gradstudy.storage.archive.part_file import read_part
from gradstudy.storage.archive.records import read_parts
from gradstudy.storage.studies import StudyRecord


def archived_rows(
    connection: Connection, study: StudyRecord, numbers: Sequence[int] | None, every: int
) -> list[pd.DataFrame]:
    """The rows of each file that has any, see ``read_steps``.

    Args:
        connection: in the transaction in which the rows of the database are read: no step is in both then.
        study: which study.
        numbers: of the trials; None for all.
        every: only steps that are a multiple of it, and the last of each trial.

    Raises:
        ArchiveError: a file is not there.
    """
    parts = read_parts(connection, study, numbers)
    if not parts:
        return []
    last: dict[int, int] = {}
    if every > 1:
        query = text("SELECT number, steps - 1 FROM trial_result WHERE study = :study")
        last = {row[0]: row[1] for row in connection.execute(query, {"study": study.name})}
    found = []
    for part in parts:
        rows = read_part(part.path, study.name, numbers).to_pandas()
        if every > 1:
            rows = rows[(rows["step"] % every == 0) | (rows["step"] == rows["number"].map(last))]
        if len(rows):
            found.append(rows.assign(study=study.name))
    return found
