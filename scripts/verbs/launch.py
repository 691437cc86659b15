"""``gradstudy launch``: create or resume a study and run it."""

import os
from contextlib import ExitStack, closing, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradstudy.scripts.errors import UsageError
from gradstudy.scripts.given_options import OF_WORKERS, refuse_idle, refuse_with_detach, refuse_with_external
from gradstudy.scripts.options import AUTO, Device, Slots, Storage, StudyOrFile, Threads, Workers
from gradstudy.scripts.printable import printable
from gradstudy.scripts.running.one_worker import Engine, Work, fitted
from gradstudy.scripts.server_options import takes_server
from gradstudy.scripts.spec_flags import takes_spec_flags
from gradstudy.scripts.spec_input import Values, assignments, file_values, given_spec, merged, names
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from gradstudy.scripts.client import Client
    from gradstudy.scripts.running.process_pool import Loading
    from gradstudy.storage.database import Database
    from gradstudy.storage.studies import StudyRecord

CHOSEN = "strategy=norm,threshold=1,learning_rate=0.5"
SLOWLY_READ = 50 * 2**20
"""Size of a file, in bytes, whose reading takes seconds."""


@takes_server
@takes_spec_flags
def launch(
    context: typer.Context,
    name: StudyOrFile = None,
    storage: Storage = DEFAULT_STORAGE,
    *,
    flags: Values,
    enqueue: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE,…",
            help="A setting that runs first, beside --trials: cell, strategy, threshold, learning_rate; repeatable.",
        ),
    ] = None,
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
    external: Annotated[
        bool,
        typer.Option(
            "--external", help="Create a study of runs that your own programs record; nothing here trains any."
        ),
    ] = False,
    client: "Client | None",
) -> None:
    """Create a study, or resume the one of this name, and run it."""
    if client is not None:
        refuse_idle(context, *OF_WORKERS, reason="with --server, whose own workers run the study")
        _launch_there(client, name, flags, enqueue or [], detach=detach)
        return
    if external:
        refuse_with_external(context)
        _open_to_programs(name, storage)
        return
    if detach:
        refuse_with_detach(context)
    if gpus and engine is Engine.LOCAL:
        raise UsageError(
            "--gpus is what each worker asks of Ray, and needs --engine ray; to train on a GPU of this machine give "
            f"--device cuda, but got --gpus {gpus:g}"
        )
    work = Work(
        workers=workers or os.cpu_count() or 1, slots=slots, threads=threads, device=device, engine=engine, gpus=gpus
    )
    from gradstudy.scripts.running.process_pool import Loading

    forks = not detach and engine is Engine.LOCAL and work.workers > 1
    with closing(Loading()) if forks else nullcontext() as loading:  # which takes longest
        _launch(name, flags, enqueue or [], storage, None if detach else work, loading)


def _open_to_programs(name: str | None, storage: str) -> None:
    """Make a study of recorded runs."""
    from gradstudy.storage.database import Database
    from gradstudy.study.launch import create_external
    from gradstudy.study.spec.study_name import require_name

    if name is None:
        raise UsageError("--external needs the NAME of the study")
    require_name(name)
    with Database.open(storage, create=True) as database:
        record = create_external(database, name)
        typer.echo(
            f"study {record.name} is open in {database.display_url} to runs that programs record: "
            f'record_run("{record.name}", storage=…); {record.budget} so far'
        )


def _launch(
    name: str | None,
    flags: Values,
    enqueued: list[str],
    storage: str,
    work: Work | None,
    loading: "Loading | None",
) -> None:
    from gradstudy.scripts.running.run_study import make_pool, run_study
    from gradstudy.scripts.running.users_code import refuse_batch_size, say_import
    from gradstudy.storage.database import Database
    from gradstudy.storage.set_aside import take_back
    from gradstudy.storage.studies import find_study
    from gradstudy.study.spec.chosen_setting import chosen_setting, setting_in_words
    from gradstudy.study.spec.study_spec import refuse_external, stored_spec
    from gradstudy.study.training.device import check_device, check_precision

    spec, given = given_spec(name, flags)
    if work is not None and work.engine is Engine.LOCAL:  # with Ray the device is elsewhere
        check_device(work.device)
    stored = stored_study(storage, spec.name)
    if stored is not None:
        refuse_external(stored)
    data = None
    if stored is not None and not given:
        spec = stored_spec(stored)  # the name alone resumes a study as it was launched
    if work is not None and work.engine is Engine.LOCAL:
        check_precision(spec, work.device)
    chosen = [chosen_setting(assignments("--enqueue", names(text), CHOSEN), spec) for text in enqueued]
    work = work and fitted(work, spec.trials)
    if stored is None or work is not None:
        say_import(spec)
    with ExitStack() as stack:
        pool = None
        if work is not None and (work.workers > 1 or work.engine is Engine.RAY):
            pool = make_pool(storage, spec, work, loading)  # it gets ready while the study is created
            stack.push(pool)
        # What follows takes seconds to load, which are those of the workers, too.
        from gradstudy.models.user_module.loading import UserModule
        from gradstudy.study.launch import create_or_resume, enqueue
        from gradstudy.study.training.data import check_varied_data, load_data
        from gradstudy.study.training.own_optimizer import with_optimizer
        from gradstudy.study.worker.job import Job

        if stored is None:
            _announce_reading(spec.task)
            data = load_data(spec)  # what keeps a study from running is said before anything is made
            refuse_batch_size(flags, data)
            check_varied_data(spec)
            device = work.device if work is not None and work.engine is Engine.LOCAL else "cpu"
            spec, data = with_optimizer(spec, data, device)
        database = stack.enter_context(Database.open(storage, create=True))
        record = create_or_resume(database, spec)
        take_back(database.engine, record)
        if chosen:
            put_in = enqueue(database, record, chosen)
            for setting in chosen:
                typer.echo(f"{setting_in_words(setting)}: {'runs first' if setting in put_in else 'has its runs'}")
            record = find_study(database, record.name)
        if work is None:
            if data is not None and not isinstance(data, UserModule):
                typer.echo("".join(f"{line}\n" for line in data.reading), nl=False)
            typer.echo(f"study {record.name} is open in {database.display_url}; workers: gradstudy work {record.name}")
            return
        from gradstudy.scripts.running.on_the_way import counts_of_open_study  # what it loads takes a second

        counts = counts_of_open_study(database, record)
        if counts is not None and run_study(Job.of(database, record, data), counts, work, pool):
            _say_verdicts(database, record)
            _show_grid(database, record)
            typer.echo(f"done; now: gradstudy report {record.name}")


def _launch_there(client: "Client", name: str | None, flags: Values, enqueued: list[str], *, detach: bool) -> None:
    from gradstudy.scripts.running.on_server import follow

    from_file = file_values(name, flags)
    values = merged(({"name": name} if name else {}) | from_file, flags)
    chosen: list[dict[str, str | float]] = [{**assignments("--enqueue", names(text), CHOSEN)} for text in enqueued]
    launched = client.launch(values, chosen)
    study = launched.study
    for note in launched.notes:
        typer.echo(printable(note), err=True)
    typer.echo(f"study {study.name} on {client.url}: {study.budget} trials of {study.way[0].steps} steps")
    if not detach:
        follow(client, study)


def _say_verdicts(database: "Database", record: "StudyRecord") -> None:
    """Say whether the experiment of the literature holds that the study is made from."""
    if record.spec.get("preset"):
        from gradstudy.storage.frames import read_trials
        from gradstudy.study.literature.presets import verdicts  # pandas

        for sentence in verdicts(record.spec, read_trials(database, record.name)):
            typer.echo(sentence)


def _show_grid(database: "Database", record: "StudyRecord") -> None:
    """Show how the settings of a grid fared."""
    if record.spec["sampler"] == "grid":
        from gradstudy.study.report.plain_console import plain_console
        from gradstudy.study.report.report import read_report
        from gradstudy.study.report.terminal import print_settings

        print_settings(read_report(database, record.name), plain_console())


def _announce_reading(task: str) -> None:
    """Say so where reading the task's file takes a while."""
    from gradstudy.models.tasks.catalogue import find_task
    from gradstudy.models.tasks.files.text_file import files_of
    from gradstudy.models.tasks.module_task import is_module_task

    file = None if is_module_task(task) else find_task(task)[1]
    size = 0 if file is None else sum(Path(each).stat().st_size for each in files_of(file))
    if size > SLOWLY_READ:
        typer.echo(f"reading {file} ({size / 2**20:,.0f} MiB); each worker reads it, too")


def stored_study(storage: str, name: str) -> "StudyRecord | None":
    """The study, if it was launched before; nothing is made by looking."""
    from gradstudy.storage.database import Database
    from gradstudy.storage.errors import BeingMadeError, ForeignDatabaseError, NotFoundError, SchemaVersionError
    from gradstudy.storage.studies import find_study

    # Databases of Optuna's are taken over; what cannot be is said when it is opened to write.
    with suppress(NotFoundError, ForeignDatabaseError, BeingMadeError), ExitStack() as stack:
        try:
            database = stack.enter_context(Database.open(storage))
        except SchemaVersionError:
            database = stack.enter_context(Database.open(storage, create=True))  # older tables are upgraded
        return find_study(database, name)
    return None
