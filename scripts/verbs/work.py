"""``gradstudy work [NAME]``: one worker, on any machine that reaches the database."""

import os
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from gradstudy.scripts.exit_codes import INTERRUPTED
from gradstudy.scripts.options import AUTO, Device, OptunaProxy, Slots, Storage, Threads
from gradstudy.scripts.running.one_worker import Work, fitted
from gradstudy.scripts.running.users_code import AllowModules
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from gradstudy.study.worker.job import Job


def work(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Name of the study.", show_default="every open study, and those to come"),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    slots: Slots = AUTO,
    threads: Threads = 1,
    device: Device = "cpu",
    optuna_proxy: OptunaProxy = None,
    allow_modules: AllowModules = None,
    workers: Annotated[
        int, typer.Option(min=1, hidden=True, help="How many workers the study has at least, this one included.")
    ] = 1,
    when_told: Annotated[
        bool,
        typer.Option(
            "--when-told", hidden=True, help="Begin with a line of standard input, and stop in order when it ends."
        ),
    ] = False,
) -> None:
    """Add a worker to a study that was launched, or to all."""
    from gradstudy.models.user_module.trusted import trusting_only
    from gradstudy.scripts.running.every_study import work_on_every_study
    from gradstudy.scripts.running.listeners import OnlyWaiting
    from gradstudy.scripts.running.on_the_way import counts_of_open_study, work_on_way
    from gradstudy.scripts.running.stopping import stop_on_signal
    from gradstudy.storage.database import Database
    from gradstudy.storage.network_filesystem import refuse_network_filesystem
    from gradstudy.storage.studies import find_study
    from gradstudy.study.spec.study_spec import refuse_external
    from gradstudy.study.training.device import check_device
    from gradstudy.study.worker.job import Job

    check_device(device)
    given = fitted(Work(workers=workers, slots=slots, threads=threads, device=device))
    if when_told and not _is_told():
        raise typer.Exit(INTERRUPTED)
    with (
        trusting_only(allow_modules or []),
        Database.open(storage, optuna_proxy=optuna_proxy) as database,
        stop_on_signal(_announce) as stop,
    ):
        if database.path is not None:
            refuse_network_filesystem(database.path)
        if when_told:
            threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()
        if name is None:
            work_on_every_study(database, partial(_work_on, work=given, stop=stop, way=False), stop)
        else:
            record = find_study(database, name)
            refuse_external(record)
            if counts_of_open_study(database, record) is not None:
                job = Job.of(database, record)
                if when_told:  # who tells shows the progress
                    work_on_way(job, given, listener=OnlyWaiting(typer.echo), stop=stop)
                else:
                    _work_on(job, given, stop, way=True)
        if stop.is_set():
            raise typer.Exit(INTERRUPTED)


def _work_on(job: "Job", work: Work, stop: threading.Event, *, way: bool) -> None:
    """Work on a study until no trial is left to begin, or all of its way to its horizon has ended."""
    from gradstudy.scripts.running.on_the_way import WayWatch, work_here
    from gradstudy.scripts.running.one_worker import run_worker
    from gradstudy.scripts.running.progress import StudyProgress
    from gradstudy.storage.progress import count_outcomes
    from gradstudy.study.search.phases import phase_name

    counts = count_outcomes(job.database.engine, job.record)
    with StudyProgress(job.record.budget, counts, phase=partial(phase_name, job.spec)) as progress:
        if way:
            work_here(job, work, progress, WayWatch(job.database, job.record, progress), stop)
        else:
            run_worker(job, work, stand_by=False, listener=progress, stop=stop)


def _announce() -> None:
    typer.echo("stopping: running trials are given back (Ctrl-C again to stop at once)")


def _is_told() -> bool:
    """Load what takes long, then wait for a line; False when the input ends instead."""
    import gradstudy.study.worker.worker  # noqa: F401
    from gradstudy.models.warm_up import load_kernels

    load_kernels()
    return bool(os.read(sys.stdin.fileno(), 1))


def _stop_at_end_of_input(stop: threading.Event) -> None:
    # Not through sys.stdin, whose lock a thread must not hold when the interpreter ends.
    while os.read(sys.stdin.fileno(), 1):
        pass
    stop.set()
