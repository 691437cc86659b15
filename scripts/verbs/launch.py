"""``gradstudy launch``: create or resume a study and run it."""

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradstudy.scripts.options import AUTO, DEFAULT_STORAGE, Device, Slots, Storage, Threads, Workers
from gradstudy.scripts.running.one_worker import Engine, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradstudy.scripts.spec_input import Values
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import StudyRecord
    from gradstudy.study.spec.study_spec import StudySpec

SLOWLY_READ = 50 * 2**20
"""Size of a file, in bytes, whose reading takes seconds."""


def launch(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FILE.toml", help="Name of the study, or its spec.", show_default="that of the preset"
        ),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    preset: Annotated[
        str | None,
        typer.Option(help="An experiment of the literature; other options change it. See `gradstudy presets`."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="What to train on; see `gradstudy tasks`.")] = None,
    task_option: Annotated[
        list[str] | None, typer.Option(help="Option of the task; repeatable.", metavar="NAME=VALUE")
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="Of tasks with real values: mse, mae or huber.", show_default="mse")
    ] = None,
    tokens: Annotated[str | None, typer.Option(help="What a symbol of pairs:FILE is: char or word.")] = None,
    window: Annotated[int | None, typer.Option(help="Rows that a forecast rests on.")] = None,
    horizon: Annotated[int | None, typer.Option(help="Rows that are forecast.")] = None,
    standardize: Annotated[
        bool | None, typer.Option("--standardize/--no-standardize", help="Scale real values by the training part.")
    ] = None,
    cells: Annotated[str | None, typer.Option(help="Comma-separated: lstm, gru.")] = None,
    strategies: Annotated[str | None, typer.Option(help="Comma-separated, or all; see `gradstudy strategies`.")] = None,
    lr: Annotated[str | None, typer.Option(help="Range of the learning rate.", metavar="LOW:HIGH")] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(help="Range of a strategy's threshold; repeatable.", metavar="STRATEGY=LOW:HIGH"),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(help="Search a field or task option, too; repeatable.", metavar="NAME=A,B,C"),
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="sgd, momentum or adam; of a model of your own also own.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="Of the computation: float32 or bfloat16.")] = None,
    trials: Annotated[int | None, typer.Option(help="Training runs of the study, replicates included.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Replicates: runs of each setting, each with its own seed.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps of each trial.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Sequences in a batch.")] = None,
    hidden: Annotated[int | None, typer.Option(help="Hidden units of each layer.")] = None,
    layers: Annotated[int | None, typer.Option(help="Layers of the encoder, and of the decoder.")] = None,
    forget_bias: Annotated[
        float | None, typer.Option(help="Initial bias of LSTM forget gates.", show_default="as torch draws it")
    ] = None,
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
    workers: Workers = None,
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
    flags = spec_flags(locals())
    work = Work(
        workers=workers or os.cpu_count() or 1, slots=slots, threads=threads, device=device, engine=engine, gpus=gpus
    )
    _launch(name, flags, storage, None if detach else work)


def spec_flags(given: "Mapping[str, Any]") -> "Values":
    """The part of a spec that was given as flags, by the names of the parameters of ``launch``."""
    from gradstudy.models.strategies import STRATEGIES
    from gradstudy.scripts.spec_input import assignments, bounds, given_values, names

    thresholds = assignments("--threshold", given["threshold"], "norm=0.01:10")
    factors = assignments("--vary", given["vary"], "hidden_size=32,64")
    return given_values(
        {
            "preset": given["preset"],
            "task": given["task"],
            "task_options": assignments("--task-option", given["task_option"], "max_length=8")
            | {name: given[name] for name in ("tokens", "window", "horizon", "standardize")},
            "loss": given["loss"],
            "optimizer": given["optimizer"],
            "precision": given["precision"],
            "trials": given["trials"],
            "seeds": given["seeds"],
            "steps": given["steps"],
            "batch_size": given["batch_size"],
            "guard": given["guard"],
            "sampler": given["sampler"],
            "pruner": given["pruner"],
            "frontier_width": given["frontier_width"],
            "seed": given["seed"],
            "model": {
                "hidden_size": given["hidden"],
                "layers": given["layers"],
                "attention": given["attention"],
                "dropout": given["dropout"],
                "forget_bias": given["forget_bias"],
            },
            "space": {
                "cells": names(given["cells"]),
                "strategies": list(STRATEGIES) if given["strategies"] == "all" else names(given["strategies"]),
                "learning_rate": bounds("--lr", given["lr"]),
                "thresholds": {name: bounds("--threshold", text) for name, text in thresholds.items()},
                "factors": {name: names(text) for name, text in factors.items()},
            },
        }
    )


def _launch(name: str | None, flags: "Values", storage: str, work: Work | None) -> None:
    from gradstudy.scripts.running.progress import counts_of_open_study
    from gradstudy.scripts.running.run_study import make_pool, run_study
    from gradstudy.storage.database import Database
    from gradstudy.study.launch import create_or_resume
    from gradstudy.study.spec.study_spec import stored_spec
    from gradstudy.study.training.data import check_varied_data, load_data
    from gradstudy.study.training.device import check_device
    from gradstudy.study.worker.job import Job

    spec, given = given_spec(name, flags)
    if work is not None and work.engine is Engine.LOCAL:  # with Ray the device is elsewhere
        check_device(work.device)
    stored = stored_study(storage, spec.name)
    data = None
    if stored is not None and not given:
        spec = stored_spec(stored)  # the name alone resumes a study as it was launched
    with ExitStack() as stack:
        pool = None
        if work is not None and (work.workers > 1 or work.engine is Engine.RAY):
            pool = make_pool(storage, spec.name, work)  # it gets ready while the study is created
            stack.push(pool)
        if stored is None:
            _announce_reading(spec.task)
            data = load_data(spec)  # what keeps a study from running is said before anything is made
            check_varied_data(spec)
        database = stack.enter_context(Database.open(storage, create=True))
        record = create_or_resume(database, spec)
        if work is None:
            typer.echo(f"study {record.name} is open in {database.display_url}; workers: gradstudy work {record.name}")
            return
        counts = counts_of_open_study(database, record)
        if counts is not None and run_study(Job.of(database, record, data), counts, work, pool):
            _say_verdicts(database, record)
            typer.echo(f"done; now: gradstudy report {record.name}")


def _say_verdicts(database: "Database", record: "StudyRecord") -> None:
    """Say whether the experiment of the literature holds that the study is made from."""
    from gradstudy.storage.frames import read_trials
    from gradstudy.study.literature.presets import verdicts

    if record.spec.get("preset"):
        for sentence in verdicts(record.spec, read_trials(database, record.name)):
            typer.echo(sentence)


def given_spec(name: str | None, flags: "Values") -> "tuple[StudySpec, bool]":
    """The spec that a name or a file and flags make, and whether they say more than the name."""
    from gradstudy.scripts.spec_input import merged, read_spec_file
    from gradstudy.study.launch import with_file
    from gradstudy.study.literature.presets import preset_values
    from gradstudy.study.spec.study_spec import parse_spec

    from_file = read_spec_file(Path(name)) if name and name.endswith(".toml") else {}
    values = merged(({"name": name} if name else {}) | from_file, flags)
    if "preset" in values:
        values = merged(preset_values(values["preset"], values.get("space", {}).get("strategies")), values)
    elif not name:
        raise typer.BadParameter(
            "a name for the study, a file FILE.toml, or --preset NAME is needed", param_hint="NAME"
        )
    spec = parse_spec(values)
    return (with_file(spec), True) if flags or from_file else (spec, False)


def _announce_reading(task: str) -> None:
    """Say so where reading the task's file takes a while."""
    from gradstudy.models.tasks.catalogue import find_task
    from gradstudy.models.tasks.module_task import is_module_task

    file = None if is_module_task(task) else find_task(task)[1]
    size = 0 if file is None else Path(file).stat().st_size
    if size > SLOWLY_READ:
        typer.echo(f"reading {file} ({size / 2**20:,.0f} MiB); each worker reads it, too")


def stored_study(storage: str, name: str) -> "StudyRecord | None":
    """The study, if it was launched before; nothing is made by looking."""
    from gradstudy.storage.database import Database
    from gradstudy.storage.errors import ForeignDatabaseError, NotFoundError, SchemaVersionError
    from gradstudy.storage.studies import find_study

    # Databases of Optuna's and of an older gradstudy are taken over; what cannot be is said when it is opened to write.
    with suppress(NotFoundError, ForeignDatabaseError, SchemaVersionError), Database.open(storage) as database:
        return find_study(database, name)
    return None
