"""``gradstudy confirm NAME``: fresh runs of the best settings, until their divergence rates are known."""

from typing import TYPE_CHECKING, Annotated

import typer

from gradstudy.scripts.given_options import is_given
from gradstudy.scripts.options import AUTO, Device, Slots, Storage, StudyName, Threads, Workers
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import StudyRecord
    from gradstudy.study.answer.confirmation_study import Confirmation


def confirm(
    context: typer.Context,
    name: StudyName,
    storage: Storage = DEFAULT_STORAGE,
    top: Annotated[
        int, typer.Option(min=1, max=20, help="How many settings, of different cells or strategies, to confirm.")
    ] = 1,
    width: Annotated[
        float,
        typer.Option(min=0.01, max=0.9, help="Run until the 95% interval of each divergence rate is this narrow."),
    ] = 0.2,
    max_runs: Annotated[int, typer.Option(min=1, help="Fresh runs in all, at most.")] = 200,
    workers: Workers = None,
    slots: Slots = AUTO,
    threads: Threads = 1,
    device: Device = "cpu",
    detach: Annotated[
        bool, typer.Option("--detach", help="Put in the next round of runs and leave it to workers elsewhere.")
    ] = False,
) -> None:
    """Rerun the best setting, half and twice its learning rate, and its rival anew, until their risks are known."""
    from gradstudy.scripts.running.chosen_runs import given_work, run_chosen
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import find_study

    work = given_work(context, workers, slots, threads, device, detach=detach)
    with Database.open(storage) as database:
        study = find_study(database, name)
        _begin(database, study, top, max_runs, said_top=is_given(context, "top"))
        job = None
        while (confirmation := _with_open_runs(database, study, width, max_runs)) is not None:
            if detach:
                _say_where(database, confirmation)
                return
            job = run_chosen(database, storage, confirmation.record, work, job)
        _show(database, study, width, ran=job is not None)


def _begin(database: "Database", study: "StudyRecord", top: int, max_runs: int, *, said_top: bool) -> None:
    """Choose the settings, unless that was done before."""
    from gradstudy.study.answer.confirmation_study import begin_confirmation, find_confirmation

    known = find_confirmation(database, study)
    if known is not None:
        idle = ", so that --top has no effect" if said_top else ""
        typer.echo(f"{known.record.name} goes on with the settings that it began with{idle}")
        return
    begin_confirmation(database, study, top, max_runs)


def _with_open_runs(database: "Database", study: "StudyRecord", width: float, max_runs: int) -> "Confirmation | None":
    """The confirmation as it is stored, with runs to be made; None when nothing is left to do."""
    from gradstudy.study.answer.confirmation_study import enqueue_round, find_confirmation, is_open

    confirmation = find_confirmation(database, study)
    if confirmation is None:  # it was deleted meanwhile
        return None
    if is_open(database, confirmation):
        return confirmation
    return find_confirmation(database, study) if enqueue_round(database, confirmation, width, max_runs) else None


def _say_where(database: "Database", confirmation: "Confirmation") -> None:
    name = confirmation.record.name
    typer.echo(
        f"study {name} has runs to be made in {database.display_url}; workers: gradstudy work {name}; "
        "when they have ended, the same command says whether more are needed"
    )


def _show(database: "Database", study: "StudyRecord", width: float, *, ran: bool) -> None:
    """Print how the settings fared."""
    from gradstudy.study.answer.confirmation_plan import is_settled
    from gradstudy.study.answer.confirmation_study import confirmation_results, find_confirmation
    from gradstudy.study.answer.evidence import ACCEPTABLE_UPPER_BOUND
    from gradstudy.study.report.plain_console import plain_console, plain_table
    from gradstudy.study.report.tables import number
    from gradstudy.study.statistics.metrics import METRIC, metric_columns

    confirmation = find_confirmation(database, study)
    if confirmation is None:
        return
    rows, _ = confirmation_results(database, confirmation)
    table = plain_table()
    words = [column for column in ("cell", "strategy", "factors") if column in rows]
    for heading in words:
        table.add_column(heading)
    for heading in ("threshold", "lr", "diverged", "95% interval", "mean loss"):
        table.add_column(heading, justify="right")
    metrics = metric_columns(rows)
    for column in metrics:
        table.add_column(column.removeprefix(METRIC), justify="right")
    for row in rows.to_dict("records"):
        table.add_row(
            *(row[column] for column in words),
            number(row["threshold"]),
            number(row["learning_rate"]),
            f"{row['diverged']}/{row['runs']}",
            f"{row['rate_low']:.0%} to {row['rate_high']:.0%}",
            number(row["loss"]),
            *(number(row[column]) for column in metrics),
        )
    console = plain_console()
    console.print(table)
    counts = zip(rows["diverged"], rows["runs"], strict=True)
    if not all(is_settled(int(diverged), int(runs), len(rows), width) for diverged, runs in counts):
        console.print(f"--max-runs is used up before every interval is {width:.0%} wide; a larger one goes on")
    elif not ran:
        console.print(
            f"nothing was run: every interval is at most {width:.0%} wide, or lies above {ACCEPTABLE_UPPER_BOUND:.0%}, "
            "where it need not be narrow"
        )
    typer.echo(f"now: gradstudy report {study.name}")
