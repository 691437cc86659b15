"""``gradstudy probe NAME``: measure gradient norms first, and set the threshold ranges from them."""

from typing import TYPE_CHECKING

import typer

from gradstudy.scripts.options import AUTO, Device, Storage, StudyOrFile, Threads
from gradstudy.scripts.running.one_worker import Work, fitted
from gradstudy.scripts.spec_flags import takes_spec_flags
from gradstudy.scripts.spec_input import Values, given_spec
from gradstudy.scripts.verbs.launch import stored_study
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from gradstudy.models.trainable import Trainable
    from gradstudy.study.spec.axis import ValueList
    from gradstudy.study.spec.study_spec import StudySpec
    from gradstudy.study.training.probe import Probe


@takes_spec_flags
def probe(
    name: StudyOrFile = None,
    storage: Storage = DEFAULT_STORAGE,
    *,
    flags: Values,
    threads: Threads = 1,
    device: Device = "cpu",
) -> None:
    """Measure gradients in a few short runs, and create the study with threshold ranges that fit them."""
    from gradstudy.scripts.running.users_code import refuse_batch_size, say_import
    from gradstudy.storage.database import Database
    from gradstudy.study.launch import create_or_resume
    from gradstudy.study.spec.study_spec import refuse_external, stored_spec
    from gradstudy.study.training.data import load_data
    from gradstudy.study.training.device import check_device, set_up_process
    from gradstudy.study.training.own_optimizer import is_settled, with_optimizer

    check_device(device)
    work = fitted(Work(workers=1, slots=AUTO, threads=threads, device=device))
    set_up_process(work.threads)
    spec, more_than_name = given_spec(name, flags)
    stored = stored_study(storage, spec.name)
    if stored is not None:
        refuse_external(stored)
    if stored is not None and not more_than_name:
        spec = stored_spec(stored)
    say_import(spec)
    data = load_data(spec)
    refuse_batch_size(flags, data)
    if stored is not None and not is_settled(spec):
        spec = spec.model_copy(update={"optimizer": stored_spec(stored).optimizer})
    spec, data = with_optimizer(spec, data, device)
    measured = _measure(spec, data, device)
    if stored is not None:
        _show(spec, measured, {})
        ranges = [f"--threshold {strategy}={low:g}:{high:g}" for strategy, (low, high) in measured.ranges.items()]
        typer.echo(f"study {spec.name} exists and keeps its ranges; for a new one: {' '.join(ranges)}")
        return
    _show(spec, measured, spec.space.thresholds)
    space = spec.space.model_copy(update={"thresholds": measured.ranges | spec.space.thresholds})
    with Database.open(storage, create=True) as database:
        record = create_or_resume(database, spec.model_copy(update={"space": space}))
        typer.echo(f"study {record.name} is created with these ranges in {database.display_url}")
    typer.echo(f"now: gradstudy launch {record.name}")


def _measure(spec: "StudySpec", data: "Trainable", device: str) -> "Probe":
    from rich.progress import Progress

    from gradstudy.study.report.plain_console import plain_console
    from gradstudy.study.training import probe as probing

    console = plain_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("measuring gradients", total=1.0)
        return probing.probe(spec, data, device, lambda share: progress.update(task, completed=share))


def _show(spec: "StudySpec", measured: "Probe", given: "Mapping[str, tuple[float, float] | ValueList]") -> None:
    """Print the norms of each cell, and the range of each strategy with where it comes from."""
    from gradstudy.models.clipping.training_loop import MEMORIES
    from gradstudy.models.strategies import STRATEGIES
    from gradstudy.study.report.plain_console import plain_console
    from gradstudy.study.spec.axis import described

    kept = measured.runs - measured.diverged
    typer.echo(f"{len(measured.scales):,} gradients of the {kept} of {measured.runs} runs that did not diverge\n")
    norms = _table("gradient norms", "5%", "median", "90%", "99%")
    for cell, of_cell in measured.scales.groupby("cell", sort=False):
        quantiles = of_cell["norm"].quantile([0.05, 0.5, 0.9, 0.99])
        norms.add_row(str(cell).upper(), *(f"{value:.2g}" for value in quantiles))
    ranges = _table("strategy", "thresholds", "from")
    for strategy in spec.space.strategies:
        entry = STRATEGIES[strategy]
        if entry.low is None or entry.high is None:
            continue
        why = "relative to what a run has seen" if strategy in MEMORIES else "not measured"
        axis, source = described((entry.low, entry.high)), f"the catalogue: {why}"
        if strategy in given:
            axis, source = described(given[strategy]), "the command line or file"
        elif strategy in measured.ranges:
            axis, source = described(measured.ranges[strategy]), f"measurement, not {axis}"
        ranges.add_row(strategy, axis, source)
    console = plain_console()
    for table in (norms, ranges):
        console.print(table)
        console.print()


def _table(*headings: str) -> "Table":
    from gradstudy.study.report.plain_console import plain_table

    table = plain_table()
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table
