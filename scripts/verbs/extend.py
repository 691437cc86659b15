"""``gradstudy extend NAME``: the best settings of a study, trained longer."""

from typing import TYPE_CHECKING, Annotated

import typer

from gradstudy.scripts.errors import UsageError
from gradstudy.scripts.given_options import is_given
from gradstudy.scripts.options import AUTO, Device, Slots, Storage, StudyName, Threads, Workers
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import StudyRecord
    from gradstudy.study.spec.rungs import Rung

TIMES = 16
"""Steps of the longest runs where none are given, as a multiple of the study's."""


def extend(
    context: typer.Context,
    name: StudyName,
    storage: Storage = DEFAULT_STORAGE,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Steps of the longest runs.", show_default="the study's horizon, else 16 times its steps"
        ),
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
    detach: Annotated[bool, typer.Option("--detach", help="Leave the runs to workers elsewhere.")] = False,
) -> None:
    """Train the best settings longer, and say whether the answer holds there."""
    from gradstudy.scripts.running.chosen_runs import given_work, run_chosen
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import find_study
    from gradstudy.study.horizon.course import is_over, next_rung, set_rungs, stretches

    work = given_work(context, workers, slots, threads, device, detach=detach)
    with Database.open(storage) as database:
        study = find_study(database, name)
        set_rungs(database, study, _rungs(context, database, study, steps, top, runs))
        if detach and not is_over(database, stretches(database, study)):
            next_rung(database, study)  # what is wrong with it is said now
            typer.echo(
                f"study {name} has longer runs to be made in {database.display_url}; workers: gradstudy work {name}"
            )
            return
        if not detach:
            run_chosen(database, storage, study, work)
        _show(database, study)


def _rungs(
    context: typer.Context, database: "Database", study: "StudyRecord", steps: int | None, top: int, runs: int
) -> "list[Rung]":
    """The rungs to train on: to the number of steps that was given, else to the horizon of the study, else 16 times.

    Raises:
        UsageError: what was given has no effect.
        NothingToExtendError: the steps are not more than the study's, or no trial of it trained.
    """
    from gradstudy.study.errors import NothingToExtendError
    from gradstudy.study.horizon.course import horizon_rungs
    from gradstudy.study.horizon.extension import find_extensions, first_settings
    from gradstudy.study.spec.rungs import wanted_rungs
    from gradstudy.study.spec.study_spec import stored_spec

    short = stored_spec(study).steps
    rungs = horizon_rungs(study) if steps is None else []
    for option in ("top", "runs"):
        if rungs and is_given(context, option):
            raise UsageError(
                f"--{option} has no effect: study {study.name!r} goes to its horizon of {study.spec['horizon']:,} "
                "steps, and its budget says how many runs that takes; --steps N goes somewhere else"
            )
    longest = TIMES * short if steps is None else steps
    if longest <= short:
        raise NothingToExtendError(
            f"study {study.name!r} trained {short:,} steps: --steps must be more, but got {longest:,}"
        )
    rungs = rungs or wanted_rungs(short, longest, top, runs)
    known = {extension.steps: extension for extension in find_extensions(database, study)}
    if not known:
        first_settings(database, study, 1)  # what there is not is said before anything is changed
    for rung in rungs:
        if rung.steps in known:
            typer.echo(f"{known[rung.steps].record.name} goes on with the settings that it began with")
    return rungs


def _show(database: "Database", study: "StudyRecord") -> None:
    """Print how the settings fared, and what the answer is."""
    from gradstudy.study.horizon.in_words import beyond
    from gradstudy.study.report import sentences
    from gradstudy.study.report.plain_console import plain_console
    from gradstudy.study.report.report import read_report
    from gradstudy.study.report.terminal_tables import horizons_table

    report = read_report(database, study.name)
    if not report.horizons.empty:
        plain_console().print(horizons_table(report.horizons))
    typer.echo(f"{sentences.kind(report)}: {sentences.setting(report)}")
    of_horizon = [] if report.at_horizon is None else [beyond(report.at_horizon)]
    for sentence in [*sentences.evidence(report), *of_horizon]:
        typer.echo(sentence)
    typer.echo(f"now: gradstudy report {study.name}")
