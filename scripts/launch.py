"""``gradstudy launch``: create or resume a study and run it."""

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradstudy.scripts.edge import INTERRUPTED
from gradstudy.scripts.options import AUTO, DEFAULT_STORAGE, Device, Slots, Storage, Threads
from gradstudy.scripts.working import Engine, Work

if TYPE_CHECKING:
    import threading

    from gradstudy.models.tasks.pairs import TokenPairs
    from gradstudy.scripts.progress import StudyProgress
    from gradstudy.scripts.spec_input import Values
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import StudyRecord
    from gradstudy.study.pool import WorkerPool
    from gradstudy.study.ray_pool import RayPool

SECONDS_BETWEEN_LOOKS = 0.3
"""How often the progress of worker processes is read from the database."""


def launch(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE.toml", help="Name of the study, or its spec.")],
    storage: Storage = DEFAULT_STORAGE,
    task: Annotated[str | None, typer.Option(help="What to train on; see `gradstudy tasks`.")] = None,
    task_option: Annotated[
        list[str] | None, typer.Option(help="Option of the task; repeatable.", metavar="NAME=VALUE")
    ] = None,
    cells: Annotated[str | None, typer.Option(help="Comma-separated: lstm, gru.")] = None,
    strategies: Annotated[str | None, typer.Option(help="Comma-separated, or all; see `gradstudy strategies`.")] = None,
    lr: Annotated[str | None, typer.Option(help="Range of the learning rate.", metavar="LOW:HIGH")] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(help="Range of a strategy's threshold; repeatable.", metavar="STRATEGY=LOW:HIGH"),
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd, momentum or adam.")] = None,
    precision: Annotated[str | None, typer.Option(help="Of the computation: float32 or bfloat16.")] = None,
    trials: Annotated[int | None, typer.Option(help="Trials of the study.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps of each trial.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Sequences in a batch.")] = None,
    hidden: Annotated[int | None, typer.Option(help="Hidden units of each layer.")] = None,
    layers: Annotated[int | None, typer.Option(help="Layers of the encoder, and of the decoder.")] = None,
    attention: Annotated[
        bool | None, typer.Option("--attention/--no-attention", help="Attend to the encoder's outputs.")
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout rate.")] = None,
    guard: Annotated[
        bool | None, typer.Option("--guard/--no-guard", help="Skip steps with a non-finite gradient.")
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="qmc, random, tpe or frontier.")] = None,
    pruner: Annotated[str | None, typer.Option(help="End trials that fall behind: none, median or hyperband.")] = None,
    frontier_width: Annotated[
        float | None,
        typer.Option(help="End when every frontier's 95% interval is this narrow.", metavar="DECADES"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the whole study.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            envvar="GRADSTUDY_WORKERS",
            help="Worker processes on this machine.",
            show_default="one for each core",
            show_envvar=False,
        ),
    ] = None,
    slots: Slots = AUTO,
    threads: Threads = 1,
    device: Device = "cpu",
    engine: Annotated[
        Engine, typer.Option(help="Who places the workers: processes of this machine, or a Ray cluster.")
    ] = Engine.LOCAL,
    gpus: Annotated[float, typer.Option(min=0, help="With Ray: GPUs of each worker; a fraction shares one.")] = 0.0,
    detach: Annotated[
        bool, typer.Option("--detach", help="Create the study and leave its trials to workers elsewhere.")
    ] = False,
) -> None:
    """Create a study, or resume the one of this name, and run it."""
    from gradstudy.models.strategies import STRATEGIES
    from gradstudy.scripts.spec_input import assignments, bounds, given_values, names

    thresholds = assignments("--threshold", threshold, "norm=0.01:10")
    flags = given_values(
        {
            "task": task,
            "task_options": assignments("--task-option", task_option, "max_length=8"),
            "optimizer": optimizer,
            "precision": precision,
            "trials": trials,
            "steps": steps,
            "batch_size": batch_size,
            "guard": guard,
            "sampler": sampler,
            "pruner": pruner,
            "frontier_width": frontier_width,
            "seed": seed,
            "model": {"hidden_size": hidden, "layers": layers, "attention": attention, "dropout": dropout},
            "space": {
                "cells": names(cells),
                "strategies": list(STRATEGIES) if strategies == "all" else names(strategies),
                "learning_rate": bounds("--lr", lr),
                "thresholds": {name: bounds("--threshold", text) for name, text in thresholds.items()},
            },
        }
    )
    work = Work(
        workers=workers or os.cpu_count() or 1, slots=slots, threads=threads, device=device, engine=engine, gpus=gpus
    )
    _launch(name, flags, storage, None if detach else work)


def _launch(name: str, flags: "Values", storage: str, work: Work | None) -> None:
    from gradstudy.scripts.spec_input import merged, read_spec_file
    from gradstudy.storage.database import Database
    from gradstudy.study.device import check_device
    from gradstudy.study.launch import create_or_resume, load_data, stored_spec
    from gradstudy.study.spec import parse_spec

    from_file = read_spec_file(Path(name)) if name.endswith(".toml") else {}
    spec = parse_spec(merged({"name": name} | from_file, flags))
    if work is not None and work.engine is Engine.LOCAL:  # with Ray the device is elsewhere
        check_device(work.device)
    stored = _stored(storage, spec.name)
    data = None
    if stored is not None and not flags and not from_file:
        spec = stored_spec(stored)  # the name alone resumes a study as it was launched
    with ExitStack() as stack:
        pool: WorkerPool | RayPool | None = None
        if work is not None and (work.workers > 1 or work.engine is Engine.RAY):
            pool = _pool(storage, spec.name, work)  # it gets ready while the study is created
            stack.push(pool)
        if stored is None:
            data = load_data(spec)  # what keeps a study from running is said before anything is made
        database = stack.enter_context(Database.open(storage, create=True))
        record = create_or_resume(database, spec)
        if work is not None:
            _run(database, record, data, work, pool)
        else:
            typer.echo(f"study {record.name} is open in {database.display_url}; workers: gradstudy work {record.name}")


def _stored(storage: str, name: str) -> "StudyRecord | None":
    """The study, if it was launched before; nothing is made by looking."""
    from gradstudy.storage.database import Database
    from gradstudy.storage.errors import ForeignDatabaseError, NotFoundError, SchemaVersionError
    from gradstudy.storage.studies import find_study

    # Databases of Optuna's and of an older gradstudy are taken over; what cannot be is said when it is opened to write.
    with suppress(NotFoundError, ForeignDatabaseError, SchemaVersionError), Database.open(storage) as database:
        return find_study(database, name)
    return None


def _run(
    database: "Database",
    record: "StudyRecord",
    data: "TokenPairs | None",
    work: Work,
    pool: "WorkerPool | RayPool | None",
) -> None:
    """Work on a study until it is done, showing its progress; Ctrl-C stops in order."""
    from gradstudy.scripts.progress import StudyProgress, counts_of_open_study
    from gradstudy.scripts.stopping import stop_on_signal
    from gradstudy.scripts.working import run_worker, slot_count
    from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
    from gradstudy.study.launch import load_data, stored_spec
    from gradstudy.study.slots import trial_bytes

    spec = stored_spec(record)
    counts = counts_of_open_study(database, record)
    if counts is None:
        return
    data = data or load_data(spec)
    typer.echo(f"study {record.name} in {database.display_url}: {record.budget} trials of {spec.steps} steps")
    typer.echo(f"{data.origin}: {len(data.train):,} pairs to train on")
    workers = "1 worker" if work.workers == 1 else f"{work.workers} workers"
    if work.engine is Engine.LOCAL:
        slots = slot_count(work, spec, data)
        mebibytes = slots * trial_bytes(spec, data) / 2**20
        typer.echo(f"{workers} on {work.device}, {slots} trials at once each ({mebibytes:.0f} MiB of arrays each)")
    else:
        typer.echo(f"{workers} on a Ray cluster")
    with StudyProgress(record.budget, counts) as progress, stop_on_signal(progress.stopping) as stop:
        if pool is None:
            run_worker(database, record, spec, data, work, stand_by=True, listener=progress, stop=stop)
        else:
            _run_pool(database, record, pool, progress, stop)
    counts = count_outcomes(database.engine, record.study_id)
    if stop.is_set() and counts[REMAINING]:
        typer.echo(f"stopped: {counts[REMAINING]} trials left; the same command goes on")
        raise typer.Exit(INTERRUPTED)
    left = counts[REMAINING] + counts[RUNNING]
    if left:
        typer.echo(f"{left} trials are left to other workers; how far they are: gradstudy status {record.name}")
    else:
        ended = sum(counts.values())
        if ended < record.budget:
            typer.echo(
                f"every frontier is known as well as wanted: ended after {ended} of at most {record.budget} trials"
            )
        typer.echo(f"done; now: gradstudy report {record.name}")


def _run_pool(
    database: "Database",
    record: "StudyRecord",
    pool: "WorkerPool | RayPool",
    progress: "StudyProgress",
    stop: "threading.Event",
) -> None:
    """Let worker processes do the work; their trials are given back when any of them fails to end in order."""
    from gradstudy.storage.errors import UnavailableError
    from gradstudy.storage.progress import count_outcomes
    from gradstudy.study.errors import WorkFailedError
    from gradstudy.study.recovery import recover

    pool.begin()
    while pool.running():
        if stop.wait(SECONDS_BETWEEN_LOOKS):
            pool.ask_to_stop()
            pool.wait()
        with suppress(UnavailableError):  # the workers wait for it, and say so
            progress.show(count_outcomes(database.engine, record.study_id))
    failures = pool.failures()
    recover(database, record)
    if failures:
        raise WorkFailedError("; ".join(failures))


def _pool(storage: str, name: str, work: Work) -> "WorkerPool | RayPool":
    """Get workers ready."""
    from gradstudy.storage.urls import parse

    url = parse(storage).render_as_string(hide_password=False)
    if work.engine is Engine.RAY:
        from gradstudy.study.ray_pool import Placement, RayPool

        slots = None if work.slots == AUTO else int(work.slots)
        placement = Placement(cpus=work.threads, gpus=work.gpus)
        return RayPool(work.workers, url, name, slots=slots, device=work.device, placement=placement)
    from gradstudy.study.pool import WorkerPool

    options = {"slots": work.slots, "threads": work.threads, "device": work.device, "workers": work.workers}
    return WorkerPool(work.workers, url, [name, *(f"--{option}={value}" for option, value in options.items())])
