"""``--server URL``: verbs that ask a server in place of a database."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradstudy.scripts.errors import UsageError
from gradstudy.scripts.given_options import refuse_idle
from gradstudy.scripts.password_file import read_password

if TYPE_CHECKING:
    from gradstudy.scripts.client import Client

SERVER_PASSWORD_VARIABLE = "GRADSTUDY_SERVER_PASSWORD"
ON_SERVERS = ("launch", "status", "report", "extend", "stop", "delete")
"""The verbs that can ask a server."""

Server = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Ask this server, which `gradstudy serve` runs, in place of a database.", show_default=False
    ),
]
ServerPasswordFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=f"File with the password of --server; or set {SERVER_PASSWORD_VARIABLE}.",
        show_default=False,
    ),
]


def takes_server(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options of a server in place of its parameter ``client``, which is None without one."""

    @functools.wraps(verb)
    def run(context: typer.Context, server: str | None, password_file: Path | None, **given: Any) -> None:
        own = {"context": context} if "context" in known else {}
        verb(**own, **given, client=_client(context, server, password_file))

    known = inspect.signature(verb).parameters
    asked = {"context": typer.Context, "server": Server, "password_file": ServerPasswordFile}
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=kind,
            default=inspect.Parameter.empty if name == "context" else None,
        )
        for name, kind in asked.items()
    ]
    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in known.items()
        if name not in ("context", "client")
    ]
    parameters = [parameters[0], *kept, *parameters[1:]]
    # Typer asks a function for these.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters} | {"return": None}
    return run


def pass_on(context: typer.Context, server: str | None, password_file: Path | None) -> None:
    """Let a verb have what was said of a server before its name.

    Raises:
        UsageError: the verb asks none.
    """
    verb = context.invoked_subcommand
    if server is None and password_file is None:
        return
    if verb is not None and verb not in ON_SERVERS:
        raise UsageError(
            f"`gradstudy {verb}` asks no server: it works on this machine, and where it needs results with --storage; "
            f"a server is asked by {', '.join(ON_SERVERS[:-1])} and {ON_SERVERS[-1]}"
        )
    given = {"server": server, "password_file": password_file}
    context.default_map = {str(verb): {name: str(value) for name, value in given.items() if value is not None}}


def _client(context: typer.Context, server: str | None, password_file: Path | None) -> "Client | None":
    if server is None:
        if password_file is not None:
            raise UsageError("--password-file is of a server, and needs --server URL")
        return None
    from gradstudy.scripts.client import Client

    refuse_idle(context, "storage", reason="with --server, which has its own database")
    password = context.obj if password_file is None else read_password(password_file)
    return Client(server, password)
