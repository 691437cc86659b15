"""Runs of chosen settings that were put into a study: made by this command's workers."""

from contextlib import ExitStack

import typer

from gradstudy.scripts.running.one_worker import Work
from gradstudy.scripts.running.progress import counts_of_open_study
from gradstudy.scripts.running.run_study import make_pool, run_study
from gradstudy.scripts.running.users_code import say_import
from gradstudy.storage.database import Database
from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
from gradstudy.storage.studies import StudyRecord
from gradstudy.study.spec.study_spec import stored_spec
from gradstudy.study.training.device import check_precision
from gradstudy.study.worker.job import Job


def run_chosen(database: Database, storage: str, record: StudyRecord, work: Work, last: Job | None) -> Job:
    """Make the runs of a study; Ctrl-C stops in order, and the same command goes on.

    Args:
        database: that holds the study.
        storage: its URL, for workers.
        record: of the study.
        work: how.
        last: of the study that this one follows, whose data are the same.

    Raises:
        typer.Exit: runs are left to other workers, which was said.
    """
    check_precision(stored_spec(record), work.device)
    if last is None:
        say_import(stored_spec(record))
    with ExitStack() as stack:
        pool = make_pool(storage, stored_spec(record), work) if work.workers > 1 else None
        if pool is not None:
            stack.push(pool)
        job = Job.of(database, record, None if last is None else last.data)
        counts = counts_of_open_study(database, record)
        if counts is not None:
            run_study(job, counts, work, pool, goes_on=True)
    counts = count_outcomes(database.engine, record)
    if counts[REMAINING] + counts[RUNNING]:
        raise typer.Exit
    return job
