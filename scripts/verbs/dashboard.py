"""``gradstudy dashboard``: the pages of the studies and optuna-dashboard, read-only unless asked."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradstudy.scripts.exit_codes import INTERRUPTED
from gradstudy.scripts.options import PASSWORD_VARIABLE, Storage
from gradstudy.scripts.password_file import read_password
from gradstudy.scripts.printable import sentence
from gradstudy.scripts.running.users_code import AllowModules
from gradstudy.storage.default_storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from gradstudy.scripts.web.gate import Gate
    from gradstudy.scripts.web.server import Address
    from gradstudy.storage.database import Database

Host = Annotated[str, typer.Option(help="Address to listen on; one that other machines reach needs a password.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
Writable = Annotated[bool, typer.Option("--writable", help="Let people change and delete studies.")]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Further name that browsers may use, as of a proxy in front; repeatable."),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=f"File with the password that browsers must give, with any user name; or set {PASSWORD_VARIABLE}.",
    ),
]


def dashboard(
    storage: Storage = DEFAULT_STORAGE,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    writable: Writable = False,
    password_file: PasswordFile = None,
    allow_host: AllowHost = None,
    allow_modules: AllowModules = None,
) -> None:
    """Show the studies and their reports in a browser, kept up to date, beside optuna-dashboard."""
    from gradstudy.models.user_module.trusted import trusting_only
    from gradstudy.scripts.running.stopping import stop_on_signal
    from gradstudy.storage.database import Database

    address, gate = entrance(host, port, password_file, allow_host, writable=writable)
    with (
        trusting_only(allow_modules or []),  # of studies that are launched by the JSON interface
        stop_on_signal(lambda: typer.echo("stopping the dashboard")) as stop,
        Database.open(storage) as database,
        running_dashboard(database, address, gate),
    ):
        stop.wait()
    raise typer.Exit(INTERRUPTED)


def entrance(
    host: str, port: int, password_file: Path | None, allow_host: list[str] | None, *, writable: bool
) -> "tuple[Address, Gate]":
    """Where to listen, and who is let in.

    Raises:
        UsageError: one needs the other, or does not exist, or optuna-dashboard is not installed.
    """
    from gradstudy.scripts.errors import UsageError, require_extra

    require_extra("dashboard", "the dashboard", "optuna_dashboard", "bottle", "waitress", "plotly")

    from gradstudy.scripts.web.gate import Gate
    from gradstudy.scripts.web.hosts import Hosts
    from gradstudy.scripts.web.password import Password
    from gradstudy.scripts.web.server import resolve

    password = _password(password_file)
    address = resolve(host, port)
    if password is None and not address.is_local:
        raise UsageError(
            f"--host {host} lets other machines in, which needs a password: set {PASSWORD_VARIABLE} or "
            "give --password-file FILE"
        )
    hosts = Hosts(host, allow_host or ())
    return address, Gate(hosts, None if password is None else Password(password), writable)


@contextmanager
def running_dashboard(database: "Database", address: "Address", gate: "Gate") -> Iterator[None]:
    """Serve a database's studies and keep their notes and plots up to date; say where."""
    from gradstudy.scripts.web.application import service_application
    from gradstudy.scripts.web.server import WebServer
    from gradstudy.storage.database import Database
    from gradstudy.storage.optuna_reader import reading_storage
    from gradstudy.study.report.dashboard.refresh import refreshing_dashboard

    with ExitStack() as stack:
        storage = database.optuna_storage if gate.writable else stack.enter_context(reading_storage(database))
        own = stack.enter_context(Database.open(database.url.render_as_string(hide_password=False)))
        application = stack.enter_context(service_application(own, storage, writable=gate.writable))
        server = WebServer(address, application, gate)
        stack.enter_context(refreshing_dashboard(database, _warn))
        stack.enter_context(server.serving())
        typer.echo(
            f"dashboard of {database.display_url} at {server.url} ({'writable' if gate.writable else 'read-only'}, "
            f"{'with' if gate.password is not None else 'without'} password; Ctrl-C stops it)"
        )
        yield


def _warn(text: str) -> None:
    typer.echo(f"gradstudy: {sentence(text)}", err=True)


def _password(file: Path | None) -> str | None:
    """The password from the file, or else from the environment; None when there is neither.

    It is taken out of the environment, which processes that are started from here inherit.
    """
    in_environment = os.environ.pop(PASSWORD_VARIABLE, None) or None
    return in_environment if file is None else read_password(file)
