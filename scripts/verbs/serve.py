"""``gradstudy serve``: database, worker pool and dashboard as one service on one machine."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradstudy.scripts.exit_codes import INTERRUPTED
from gradstudy.scripts.options import AUTO, Device, Slots, Threads, checked_address
from gradstudy.scripts.running.users_code import ALLOW_MODULES, AllowModules
from gradstudy.scripts.verbs.dashboard import AllowHost, Host, PasswordFile, Port, Writable
from gradstudy.storage.default_storage import STORAGE_VARIABLE

if TYPE_CHECKING:
    import threading

    from gradstudy.scripts.running.process_pool import WorkerPool

DEFAULT_DATA = Path("gradstudy-data")
SECONDS_BETWEEN_LOOKS = 0.5
"""How often the service looks whether its workers run."""


def serve(
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="URL of the results database.",
            envvar=STORAGE_VARIABLE,
            show_default="an own PostgreSQL in --data",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the own PostgreSQL, where no --storage is given.",
            show_default=str(DEFAULT_DATA),
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes.", show_default="one for each core")
    ] = None,
    slots: Slots = AUTO,
    threads: Threads = 1,
    device: Device = "cpu",
    allow_modules: AllowModules = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            callback=checked_address,
            metavar="HOST:PORT",
            help="Also run Optuna's gRPC proxy there, for workers with GRADSTUDY_OPTUNA_PROXY. It has no password.",
        ),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    writable: Writable = False,
    password_file: PasswordFile = None,
    allow_host: AllowHost = None,
) -> None:
    """Run a database, workers for every open study and the dashboard, until SIGTERM or Ctrl-C."""
    from gradstudy.models.user_module.trusted import trusting_only
    from gradstudy.scripts.errors import UsageError
    from gradstudy.scripts.running.one_worker import Work, fitted
    from gradstudy.scripts.running.process_pool import WorkerPool
    from gradstudy.scripts.running.stopping import stop_on_signal
    from gradstudy.scripts.verbs.dashboard import entrance, running_dashboard
    from gradstudy.storage.database import Database
    from gradstudy.storage.optuna_proxy import serving_proxy
    from gradstudy.study.training.device import check_device

    if storage is not None and data is not None:
        raise UsageError(
            f"--data is the folder of the service's own database, but --storage or {STORAGE_VARIABLE} names another"
        )
    check_device(device)
    address, gate = entrance(host, port, password_file, allow_host, writable=writable)
    work = fitted(Work(workers=workers or os.cpu_count() or 1, slots=slots, threads=threads, device=device))
    count = work.workers
    arguments = ["--slots", slots, "--threads", str(work.threads), "--device", device, "--workers", str(count)]
    arguments += [f"{ALLOW_MODULES}={place}" for place in allow_modules or []]
    with (
        trusting_only(allow_modules or []),  # a name that is neither folder nor package is said here
        stop_on_signal(lambda: typer.echo("stopping: running trials are given back")) as stop,
        _database_url(storage, data or DEFAULT_DATA) as url,
        Database.open(url, create=True) as database,
        running_dashboard(database, address, gate),
        serving_proxy(database.optuna_storage, proxy) if proxy else nullcontext(),
        WorkerPool(count, url, arguments) as pool,
    ):
        workers_named = "1 worker serves" if count == 1 else f"{count} workers serve"
        typer.echo(
            f"{workers_named} every open study; launch one with: gradstudy launch NAME --detach "
            f"--storage {shlex.quote(database.display_url)}"
        )
        if proxy:
            typer.echo(f"Optuna's proxy is at {proxy}; anyone who reaches it can change every study")
        pool.begin()
        _supervise(pool, stop)
    raise typer.Exit(INTERRUPTED)


@contextmanager
def _database_url(storage: str | None, data: Path) -> Iterator[str]:
    """The URL of the database that was named, or of a server that runs as long as this one."""
    from gradstudy.storage.embedded import EmbeddedServer

    if storage is not None:
        yield storage
    else:
        with EmbeddedServer.start(data) as server:
            yield server.url


def _supervise(pool: "WorkerPool", stop: "threading.Event") -> None:
    """Keep the workers running until asked to stop.

    Raises:
        WorkFailedError: none is left.
    """
    from gradstudy.study.errors import WorkFailedError

    while not stop.wait(SECONDS_BETWEEN_LOOKS):
        if not pool.running():
            raise WorkFailedError("no worker is left: " + "; ".join(pool.failures()))
    pool.ask_to_stop()
    pool.wait()
