"""Runs of chosen settings that were put into a study: made by this command's workers."""

import os
from contextlib import ExitStack

import typer

from gradstudy.scripts.given_options import refuse_with_detach
from gradstudy.scripts.running.on_the_way import counts_of_open_study
from gradstudy.scripts.running.one_worker import Work, fitted
from gradstudy.scripts.running.run_study import make_pool, run_study
from gradstudy.scripts.running.users_code import say_import
from gradstudy.storage.database import Database
from gradstudy.storage.studies import StudyRecord
from gradstudy.study.spec.study_spec import stored_spec
from gradstudy.study.training.device import check_device, check_precision
from gradstudy.study.worker.job import Job


def given_work(
    context: typer.Context, workers: int | None, slots: str, threads: int, device: str, *, detach: bool
) -> Work:
    """How a verb that runs chosen settings works on them.

    Raises:
        UsageError: the command line says something of workers, and none are started.
        DeviceError: this machine does not have the device.
    """
    work = Work(workers=workers or os.cpu_count() or 1, slots=slots, threads=threads, device=device)
    if detach:
        refuse_with_detach(context)
        return work
    check_device(device)
    return fitted(work)


def run_chosen(database: Database, storage: str, record: StudyRecord, work: Work, last: Job | None = None) -> Job:
    """Make the runs of a study, on its way to its horizon, too; Ctrl-C stops in order, and the same command goes on.

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
        if counts is not None and not run_study(job, counts, work, pool, goes_on=True):
            raise typer.Exit
    return job
