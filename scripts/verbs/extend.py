"""``gradstudy extend NAME``: the best settings of a study, trained longer."""

from typing import TYPE_CHECKING, Annotated

import typer

from gradstudy.scripts.given_options import OF_WORKERS, refuse_idle
from gradstudy.scripts.options import AUTO, Device, Slots, Storage, StudyName, Threads, Workers
from gradstudy.scripts.server_options import takes_server
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from gradstudy.scripts.client import Client
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import StudyRecord
    from gradstudy.study.spec.rungs import Rung


@takes_server
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
        int | None,
        typer.Option(
            min=1,
            max=20,
            help="Settings, of different cells or strategies; each at half its rate, too.",
            show_default="6",
        ),
    ] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Runs of each setting.", show_default="2")] = None,
    workers: Workers = None,
    slots: Slots = AUTO,
    threads: Threads = 1,
    device: Device = "cpu",
    detach: Annotated[bool, typer.Option("--detach", help="Leave the runs to workers elsewhere.")] = False,
    *,
    client: "Client | None",
) -> None:
    """Train the best settings longer, and say whether the answer holds there."""
    if client is not None:
        refuse_idle(context, *OF_WORKERS, reason="with --server, whose own workers make the runs")
        _extend_there(client, name, steps, top, runs, detach=detach)
        return
    from gradstudy.scripts.running.chosen_runs import given_work, run_chosen
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import find_study
    from gradstudy.study.horizon.asked_rungs import asked_rungs
    from gradstudy.study.horizon.course import is_over, next_rung, set_rungs, stretches

    work = given_work(context, workers, slots, threads, device, detach=detach)
    with Database.open(storage) as database:
        study = find_study(database, name)
        rungs = asked_rungs(database, study, steps, top, runs)
        _say_what_goes_on(database, study, rungs)
        set_rungs(database, study, rungs)
        if detach and not is_over(database, stretches(database, study)):
            next_rung(database, study)  # what is wrong with it is said now
            typer.echo(
                f"study {name} has longer runs to be made in {database.display_url}; workers: gradstudy work {name}"
            )
            return
        if not detach:
            run_chosen(database, storage, study, work)
        _show(database, study)


def _extend_there(
    client: "Client", name: str, steps: int | None, top: int | None, runs: int | None, *, detach: bool
) -> None:
    from gradstudy.scripts.running.on_server import follow

    study = client.extend(name, steps, top, runs)
    longer = ", then ".join(f"up to {each.runs} of {each.steps:,}" for each in study.way[1:])
    typer.echo(f"longer runs of the best settings of study {name} on {client.url}: {longer} steps")
    if not detach:
        follow(client, study)


def _say_what_goes_on(database: "Database", study: "StudyRecord", rungs: "list[Rung]") -> None:
    from gradstudy.study.horizon.extension import find_extensions

    wanted = {rung.steps for rung in rungs}
    for extension in find_extensions(database, study):
        if extension.steps in wanted:
            typer.echo(f"{extension.record.name} goes on with the settings that it began with")


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
