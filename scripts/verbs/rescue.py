"""``gradstudy rescue NAME N``: what would have saved a trial that diverged."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gradstudy.scripts.options import Storage, StudyName
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from gradstudy.storage.database import Database
    from gradstudy.study.training.rescue import Rescue

Form = Literal["terminal", "csv", "json", "parquet"]


def rescue(
    name: StudyName,
    number: Annotated[int, typer.Argument(metavar="N", help="Number of the trial.")],
    storage: Storage = DEFAULT_STORAGE,
    runs: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Runs of each remedy.")] = 16,
    device: Annotated[str, typer.Option(help="Where to train: cpu or cuda.")] = "cpu",
    form: Annotated[Form, typer.Option("--format", help="How the remedies are written.")] = "terminal",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write them.", show_default="standard output"),
    ] = None,
) -> None:
    """Go back to before a diverged trial went wrong, try remedies from there, and say which of them save it."""
    from gradstudy.scripts.errors import UsageError
    from gradstudy.scripts.output.output_file import opened
    from gradstudy.scripts.output.parquet_rows import check_parquet
    from gradstudy.scripts.output.row_formats import WRITERS
    from gradstudy.scripts.running.users_code import say_import
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import find_study
    from gradstudy.study.spec.study_spec import stored_spec
    from gradstudy.study.training.device import check_device, set_up_process

    if form == "parquet":
        check_parquet(output)
    if form == "terminal" and output is not None:
        raise UsageError(f"--output {output} needs a --format: csv, json or parquet")
    check_device(device)
    set_up_process()
    with Database.open(storage) as database:
        say_import(stored_spec(find_study(database, name)), err=form != "terminal")
        tried = _tried(database, name, number, runs, device)
    if form == "terminal":
        _show(tried)
        return
    with opened(output) as file:
        table = tried.table.astype(object).where(tried.table.notna(), None)
        WRITERS[form]([str(column) for column in table], [table.to_numpy().tolist()], file)


def _tried(database: "Database", name: str, number: int, runs: int, device: str) -> "Rescue":
    from rich.progress import Progress

    from gradstudy.study.report.plain_console import plain_console
    from gradstudy.study.training.rescue import rescue_trial

    console = plain_console(stderr=True)  # as the rows may go to standard output
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("trying remedies", total=1.0)
        return rescue_trial(
            database,
            name,
            number,
            runs=runs,
            device=device,
            advanced=lambda share: progress.update(task, completed=share),
        )


def _show(tried: "Rescue") -> None:
    from gradstudy.models.tasks.module_task import is_module_task
    from gradstudy.study.report.plain_console import plain_console, plain_table
    from gradstudy.study.report.tables import number
    from gradstudy.study.training.recorded_trial import in_words
    from gradstudy.study.training.remedies import UNCHANGED

    verdict, point, steps = tried.verdict, tried.point, tried.trial.spec.steps
    at = "at its end" if verdict.step is None else f"at step {verdict.step}"
    same = "it diverged in the same way" if tried.reproduced else "it ended in ANOTHER way: do not trust the rest"
    typer.echo(in_words(tried.trial.row))
    typer.echo(f"It diverged {at} ({verdict.reason}). {point.reason}")
    typer.echo(f"From step {point.step} on, trained to step {steps} with nothing changed, {same}.\n")
    table = plain_table()
    table.add_column("changed", no_wrap=True)
    for heading in ("survived\n/ runs", "share, 95%\ninterval", f"loss of these\n(untrained {tried.untrained:.3g})"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in tried.table[tried.table["remedy"] != UNCHANGED].to_dict("records"):
        interval = f"{row['share']:.0%}, {100 * row['share_low']:.0f}-{row['share_high']:.0%}"
        table.add_row(row["remedy"], f"{row['survived']}/{row['runs']}", interval, number(row["loss"]))
    plain_console().print(table)
    batches = (
        "All runs meet the batches that your function gave the trial"
        if is_module_task(tried.trial.spec.task)
        else "The first run of each remedy meets the trial's own batches, the others meet them in another order; bad "
        "batches are passed over in the trial's own order, each run one more"
    )
    typer.echo(
        f"\n{batches}. Thresholds: the median over the healthy steps of what the strategy compares it with, or the "
        "middle of its range. Loss: on the validation data."
    )
