"""``gradstudy extend NAME``: the best settings of a study, trained longer."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from gradstudy.scripts.given_options import refuse_with_detach
from gradstudy.scripts.options import AUTO, Device, Slots, Storage, StudyName, Threads, Workers
from gradstudy.scripts.running.one_worker import Work, fitted
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import StudyRecord
    from gradstudy.study.horizon.extension import Extension
    from gradstudy.study.worker.job import Job

TIMES = 16
"""Steps of the longest runs where none are given, as a multiple of the study's."""


def extend(
    context: typer.Context,
    name: StudyName,
    storage: Storage = DEFAULT_STORAGE,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of the longest runs.", show_default="16 times the study's")
    ] = None,
    top: Annotated[
        int,
        typer.Option(min=1, max=20, help="Settings, of different cells or strategies; each at half its rate, too."),
    ] = 6,
    runs: Annotated[int, typer.Option(min=1, help="Runs of each setting.")] = 2,
    workers: Workers = None,
    slots: Slots = AUTO,
    threads: Threads = 1,
    device: Device = "cpu",
    detach: Annotated[
        bool, typer.Option("--detach", help="Put in the next runs and leave them to workers elsewhere.")
    ] = False,
) -> None:
    """Train the best settings longer, and say whether the answer holds there."""
    from gradstudy.scripts.running.chosen_runs import run_chosen
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import find_study
    from gradstudy.study.errors import NothingToExtendError
    from gradstudy.study.horizon.extension import is_ended
    from gradstudy.study.horizon.halving import rungs
    from gradstudy.study.training.device import check_device

    work = Work(workers=workers or os.cpu_count() or 1, slots=slots, threads=threads, device=device)
    if detach:
        refuse_with_detach(context)
    else:
        work = fitted(work)
        check_device(device)
    with Database.open(storage) as database:
        study = find_study(database, name)
        short = int(study.spec["steps"])
        longest = TIMES * short if steps is None else steps
        if longest <= short:
            raise NothingToExtendError(
                f"study {name!r} trained {short:,} steps: --steps must be more, but got {longest:,}"
            )
        job: Job | None = None
        last: Extension | None = None
        for rung in rungs(short, longest):
            last = _begun(database, study, rung, last, top, runs)
            if detach and not is_ended(database, last):
                _say_where(database, last)
                return
            job = run_chosen(database, storage, last.record, work, job)
        _show(database, study)


def _begun(
    database: "Database", study: "StudyRecord", steps: int, last: "Extension | None", top: int, runs: int
) -> "Extension":
    """The extension to so many steps, which is made where there is none."""
    from gradstudy.study.horizon.extension import begin_extension, find_extension, first_settings, put_in, results
    from gradstudy.study.horizon.halving import survivors

    known = find_extension(database, study, steps)
    if known is not None:
        typer.echo(f"{known.record.name} goes on with the settings that it began with")
        return put_in(database, known, runs)
    chosen = first_settings(database, study, top) if last is None else survivors(last.chosen, results(database, last))
    typer.echo(f"{steps:,} steps: {len(chosen)} settings, {runs} runs of each")
    return put_in(database, begin_extension(database, study, chosen, steps, runs), runs)


def _say_where(database: "Database", extension: "Extension") -> None:
    name = extension.record.name
    typer.echo(
        f"study {name} has runs to be made in {database.display_url}; workers: gradstudy work {name}; "
        "when they have ended, the same command goes on"
    )


def _show(database: "Database", study: "StudyRecord") -> None:
    """Print how the settings fared."""
    from gradstudy.study.horizon.extension import horizon_table
    from gradstudy.study.horizon.holds import holds
    from gradstudy.study.report.plain_console import plain_console
    from gradstudy.study.report.terminal_tables import horizons_table

    table = horizon_table(database, study)
    plain_console().print(horizons_table(table))
    for sentence in holds(table, int(study.spec["steps"])):
        typer.echo(sentence)
    typer.echo(f"now: gradstudy report {study.name}")
