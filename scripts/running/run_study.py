"""Running a study from the command line: its workers, its progress, an orderly stop."""

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import typer

from gradstudy.scripts.exit_codes import INTERRUPTED
from gradstudy.scripts.options import AUTO
from gradstudy.scripts.running.one_worker import Engine, Work

if TYPE_CHECKING:
    import threading

    from gradstudy.scripts.running.process_pool import WorkerPool
    from gradstudy.scripts.running.progress import StudyProgress
    from gradstudy.scripts.running.ray_pool import RayPool
    from gradstudy.study.spec.study_spec import StudySpec
    from gradstudy.study.worker.failures import FailureWatch
    from gradstudy.study.worker.job import Job

SECONDS_BETWEEN_LOOKS = 0.3
"""How often the progress of worker processes is read from the database."""


def run_study(
    job: "Job",
    counts: dict[str, int],
    work: Work,
    pool: "WorkerPool | RayPool | None",
    *,
    goes_on: bool = False,
) -> bool:
    """Work on a study until nothing is left to begin, showing its progress; Ctrl-C stops in order.

    Args:
        job: the study.
        counts: of its trials as it begins, see ``counts_of_open_study``.
        work: how many workers, and where.
        pool: of their processes; None for one worker in this process.
        goes_on: whether the caller has more to do, so that a stop counts even when every trial has ended.

    Returns:
        Whether all trials have ended.
    """
    from gradstudy.scripts.running.one_worker import run_worker, slot_count
    from gradstudy.scripts.running.progress import StudyProgress
    from gradstudy.scripts.running.stopping import stop_on_signal
    from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
    from gradstudy.study.search.phases import phase_name
    from gradstudy.study.spec.factors import shown
    from gradstudy.study.training.device import set_up_process
    from gradstudy.study.training.slots import described, trial_bytes
    from gradstudy.study.worker.failures import FailureWatch

    set_up_process(work.threads)  # this process tries a model of the user's, beside workers that begin
    database, record, spec = job.database, job.record, job.spec
    failures = FailureWatch(database, record)
    replicates = f" ({record.budget // spec.seeds} settings, {spec.seeds} seeds each)" if spec.seeds > 1 else ""
    typer.echo(
        f"study {record.name} in {database.display_url}: {record.budget} trials{replicates} of {spec.steps} steps"
    )
    typer.echo("\n".join(described(spec, job.data, work.device if work.engine is Engine.LOCAL else "cpu")))
    for factor, values in spec.space.factors.items():
        typer.echo(f"varied: {factor} {', '.join(shown(value) for value in values)}")
    workers = "1 worker" if work.workers == 1 else f"{work.workers} workers"
    if work.engine is Engine.LOCAL:
        slots = slot_count(work, job)
        mebibytes = slots * trial_bytes(spec, job.data, work.device) / 2**20
        typer.echo(f"{workers} on {work.device}, {slots} trials at once each ({mebibytes:.0f} MiB of arrays each)")
    else:
        typer.echo(f"{workers} on a Ray cluster")
    with (
        StudyProgress(record.budget, counts, phase=partial(phase_name, spec)) as progress,
        stop_on_signal(progress.stopping) as stop,
    ):
        if pool is None:
            run_worker(job, work, stand_by=True, listener=progress, stop=stop)
        else:
            _run_pool(job, pool, progress, stop, failures)
    failures.check()
    counts = count_outcomes(database.engine, record)
    if stop.is_set() and (counts[REMAINING] or goes_on):
        left_over = f": {counts[REMAINING]} trials left" if counts[REMAINING] else ""
        typer.echo(f"stopped{left_over}; the same command goes on")
        raise typer.Exit(INTERRUPTED)
    left = counts[REMAINING] + counts[RUNNING]
    if left:
        typer.echo(f"{left} trials are left to other workers; how far they are: gradstudy status {record.name}")
    ended = sum(counts.values())
    if not left and ended < record.budget:
        typer.echo(f"every frontier is known as well as wanted: ended after {ended} of at most {record.budget} trials")
    return left == 0


def _run_pool(
    job: "Job",
    pool: "WorkerPool | RayPool",
    progress: "StudyProgress",
    stop: "threading.Event",
    failures: "FailureWatch",
) -> None:
    """Let worker processes do the work; their trials are given back when any of them fails to end in order."""
    from gradstudy.storage.errors import UnavailableError
    from gradstudy.storage.progress import count_outcomes
    from gradstudy.storage.results import Outcome
    from gradstudy.study.errors import TrialsFailError, WorkFailedError
    from gradstudy.study.worker.recovery import recover

    pool.begin()
    while pool.running():
        if stop.wait(SECONDS_BETWEEN_LOOKS):
            pool.ask_to_stop()
            pool.wait()
        with suppress(UnavailableError):  # the workers wait for it, and say so
            counts = count_outcomes(job.database.engine, job.record)
            progress.show(counts)
            if counts[Outcome.FAILED]:
                try:
                    failures.check()
                except TrialsFailError:
                    pool.ask_to_stop()
                    pool.wait()
                    recover(job.database, job.record)
                    raise
    failed = pool.failures()
    recover(job.database, job.record)
    if failed:
        raise WorkFailedError("; ".join(failed))


def make_pool(storage: str, spec: "StudySpec", work: Work) -> "WorkerPool | RayPool":
    """Get workers of a study ready; of the user's own code they import what this process would.

    Raises:
        TaskError: the study's task has a name of another form.
    """
    from gradstudy.scripts.running.users_code import ALLOW_MODULES, allowed_for
    from gradstudy.storage.urls import parse

    allowed = allowed_for(spec)
    url = parse(storage).render_as_string(hide_password=False)
    if work.engine is Engine.RAY:
        from gradstudy.scripts.running.ray_pool import Placement, RayPool

        slots = None if work.slots == AUTO else int(work.slots)
        placement = Placement(cpus=work.threads, gpus=work.gpus)
        return RayPool(
            work.workers, url, spec.name, slots=slots, device=work.device, placement=placement, allowed=allowed
        )
    from gradstudy.scripts.running.process_pool import WorkerPool

    options = {"slots": work.slots, "threads": work.threads, "device": work.device, "workers": work.workers}
    arguments = [f"--{option}={value}" for option, value in options.items()]
    arguments += [f"{ALLOW_MODULES}={place}" for place in allowed]
    return WorkerPool(work.workers, url, [spec.name, *arguments])
