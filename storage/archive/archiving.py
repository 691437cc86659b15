"""Moving the steps of trials that have ended from the database into files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, or_, select, text

from gradstudy.storage.archive.part_file import as_table, require_pyarrow, write_part
from gradstudy.storage.archive.records import Part
from gradstudy.storage.database import Database
from gradstudy.storage.errors import ArchiveError
from gradstudy.storage.lost_workers import WORKER_LOST
from gradstudy.storage.schema import TRIALS, ArchivedSteps, Step, Trial
from gradstudy.storage.studies import StudyRecord, require_study
from gradstudy.storage.transactions import reading, writing

ROWS = 250_000
"""Steps of a part, which is one transaction, but for a trial that has more."""
TRIALS_AT_ONCE = 5_000
"""Whose steps are counted together; no part has more."""
STEPS_OF = text("SELECT * FROM step_result WHERE trial_id IN :trials ORDER BY number, step").bindparams(
    bindparam("trials", expanding=True)
)


def archive_steps(database: Database, study: StudyRecord, folder: Path) -> Iterator[Part]:
    """Move the steps of every trial that has ended, part by part; whenever it is ended, each step is in one place.

    A part is written and read again before its steps are deleted, in the transaction that says where they are.

    Args:
        database: where the study is.
        study: which study; its trials may run meanwhile.
        folder: for the files; it is there.

    Yields:
        Each part once it is archived.

    Raises:
        ArchiveError: a file cannot be written, or somebody else archives the same steps.
        ExtraMissingError: pyarrow is not installed.
    """
    require_pyarrow()
    for trials in _parts(database, study):
        with reading(database.engine) as connection:
            table = as_table(connection.execute(STEPS_OF, {"trials": list(trials)}).all())
        numbers = sorted(trials.values())
        part = Part(
            folder=folder, file=write_part(folder, table), first=numbers[0], last=numbers[-1], rows=table.num_rows
        )
        _replace(database, study, part, list(trials))
        yield part


def _replace(database: Database, study: StudyRecord, part: Part, trials: list[int]) -> None:
    """Delete the steps of trials, and say which part holds them."""
    row = {
        "study_id": study.study_id, "file": part.file, "folder": str(part.folder), "first_number": part.first,
        "last_number": part.last, "step_rows": part.rows,
    }  # fmt: skip
    with writing(database.engine) as connection:
        require_study(connection, study)
        deleted = connection.execute(delete(Step).where(Step.trial_id.in_(trials))).rowcount
        if deleted != part.rows:
            raise ArchiveError(
                f"the steps of trials {part.first} to {part.last} of study '{study.name}' changed while they were "
                "archived; they stay in the database, and the same command goes on"
            )
        connection.execute(insert(ArchivedSteps), row)


def _parts(database: Database, study: StudyRecord) -> Iterator[dict[int, int]]:
    """Trials that have ended and have steps in the database, by ``trial_id`` with their numbers, a part at a time."""
    after = -1
    while True:
        with reading(database.engine) as connection:
            ended = {row.trial_id: row.number for row in connection.execute(_ended(study, after))}
            counted = select(Step.trial_id, func.count().label("steps")).where(Step.trial_id.in_(list(ended)))
            counts = {row.trial_id: row.steps for row in connection.execute(counted.group_by(Step.trial_id))}
        part: dict[int, int] = {}
        rows = 0
        for trial_id, number in ended.items():
            count = counts.get(trial_id, 0)
            if part and rows + count > ROWS:
                yield part
                part, rows = {}, 0
            if count:
                part[trial_id], rows = number, rows + count
        if part:
            yield part
        if len(ended) < TRIALS_AT_ONCE:
            return
        after = max(ended.values())


def _ended(study: StudyRecord, after: int) -> Any:
    """The trials of a study with larger numbers that have ended for good, in order.

    A recorded run whose program was lost may go on, and then writes its steps anew.
    """
    return (
        select(TRIALS.c.trial_id, TRIALS.c.number)
        .join(Trial, Trial.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study.study_id, TRIALS.c.number > after, Trial.outcome.is_not(None))
        .where(or_(Trial.reason.is_(None), Trial.reason != WORKER_LOST))
        .order_by(TRIALS.c.number)
        .limit(TRIALS_AT_ONCE)
    )
