"""Running a study from the command line: its workers, its progress, an orderly stop."""

from functools import partial
from typing import TYPE_CHECKING

import typer

from gradstudy.scripts.exit_codes import INTERRUPTED
from gradstudy.scripts.options import AUTO
from gradstudy.scripts.running.one_worker import Engine, Work, slot_count

if TYPE_CHECKING:
    import threading

    from gradstudy.scripts.running.on_the_way import WayWatch
    from gradstudy.scripts.running.process_pool import Loading, WorkerPool
    from gradstudy.scripts.running.ray_pool import RayPool
    from gradstudy.study.spec.study_spec import StudySpec
    from gradstudy.study.worker.job import Job


def run_study(
    job: "Job",
    counts: dict[str, int],
    work: Work,
    pool: "WorkerPool | RayPool | None",
    *,
    goes_on: bool = False,
) -> bool:
    """Work on a study until nothing is left to begin, on its way to its horizon, too; Ctrl-C stops in order.

    Args:
        job: the study.
        counts: of its trials as it begins, see ``counts_of_open_study``.
        work: how many workers, and where.
        pool: of their processes; None for one worker in this process.
        goes_on: whether the caller has more to do, so that a stop counts even when every trial has ended.

    Returns:
        Whether all trials have ended.
    """
    from gradstudy.models.tasks.module_task import is_module_task
    from gradstudy.scripts.running.on_the_way import WayWatch, work_here
    from gradstudy.scripts.running.progress import StudyProgress
    from gradstudy.scripts.running.stopping import stop_on_signal
    from gradstudy.study.search.phases import phase_name

    if is_module_task(job.spec.task):
        from gradstudy.study.training.device import set_up_process

        set_up_process(work.threads)  # this process tries a model of the user's, beside workers that begin
    database, record = job.database, job.record
    _say_what_runs(job, counts, work)
    with (
        StudyProgress(record.budget, counts, phase=partial(phase_name, job.spec)) as progress,
        stop_on_signal(progress.stopping) as stop,
    ):
        watch = WayWatch(database, record, progress)
        if pool is not None:
            _run_pool(job, pool, watch, stop)
        else:
            work_here(job, work, progress, watch, stop)
    watch.check()
    return _say_what_is_left(job, stopped=stop.is_set(), goes_on=goes_on)


def _say_what_runs(job: "Job", counts: dict[str, int], work: Work) -> None:
    from gradstudy.scripts.running.on_the_way import in_words
    from gradstudy.storage.progress import REMAINING, RUNNING
    from gradstudy.study.horizon.course import stretches
    from gradstudy.study.spec.factors import shown
    from gradstudy.study.training.slots import described, trial_bytes

    record, spec = job.record, job.spec
    replicates = f" ({record.budget // spec.seeds} settings, {spec.seeds} seeds each)" if spec.seeds > 1 else ""
    typer.echo(
        f"study {record.name} in {job.database.display_url}: {record.budget} trials{replicates} of {spec.steps} steps"
    )
    way = stretches(job.database, record)
    if len(way) > 1:
        longer = ", then ".join(f"up to {each.runs} of {each.steps:,}" for each in way[1:])
        typer.echo(f"longer runs of the best settings follow, by themselves: {longer} steps")
    if not counts[REMAINING] + counts[RUNNING]:
        for stretch in way[1:]:
            if stretch.record is not None:
                typer.echo(in_words(stretch))
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


def _say_what_is_left(job: "Job", *, stopped: bool, goes_on: bool) -> bool:
    """Say what has not been run, and how it will be; whether all trials have ended."""
    from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
    from gradstudy.study.horizon.course import stretches

    database, record = job.database, job.record
    way = stretches(database, record)
    begun = [count_outcomes(database.engine, stretch.record) for stretch in way if stretch.record is not None]
    remaining = sum(counts[REMAINING] for counts in begun)
    left = remaining + sum(counts[RUNNING] for counts in begun)
    to_begin = len(begun) < len(way)
    if stopped and (remaining or to_begin or goes_on):
        left_over = f": {remaining} trials left" if remaining else ""
        typer.echo(f"stopped{left_over}; the same command goes on")
        raise typer.Exit(INTERRUPTED)
    if left:
        typer.echo(f"{left} trials are left to other workers; how far they are: gradstudy status {record.name}")
    elif to_begin:
        typer.echo("no trial trained: there is nothing to train longer")
    ended = sum(begun[0].values())
    if not left and ended < record.budget:
        typer.echo(f"every frontier is known as well as wanted: ended after {ended} of at most {record.budget} trials")
    return left == 0


def _run_pool(job: "Job", pool: "WorkerPool | RayPool", watch: "WayWatch", stop: "threading.Event") -> None:
    """Let worker processes do the work; their trials are given back when any of them fails to end in order."""
    from gradstudy.scripts.running.on_the_way import SECONDS_BETWEEN_LOOKS
    from gradstudy.study.errors import TrialsFailError, WorkFailedError
    from gradstudy.study.worker.recovery import recover

    pool.begin()
    while pool.running():
        pool.wait(SECONDS_BETWEEN_LOOKS)
        if stop.is_set():
            pool.ask_to_stop()
            pool.wait()
        if watch.look():
            try:
                watch.check()
            except TrialsFailError:
                pool.ask_to_stop()
                pool.wait()
                recover(job.database, job.record)
                raise
    watch.look()
    failed = pool.failures()
    recover(job.database, job.record)
    if failed:
        raise WorkFailedError("; ".join(failed))


def make_pool(storage: str, spec: "StudySpec", work: Work, loading: "Loading | None" = None) -> "WorkerPool | RayPool":
    """Get workers of a study ready; of the user's own code they import what this process would.

    ``loading`` is the process that they are forked from, where it has begun to load.

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
    return WorkerPool(work.workers, url, [spec.name, *arguments], spec.model_dump_json(), loading)
