"""The ``gradstudy`` command: one file per verb."""

import atexit
import gc
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gradstudy.scripts.exit_codes import DEBUG_VARIABLE, with_exit_code
from gradstudy.scripts.options import PASSWORD_VARIABLE
from gradstudy.scripts.printable import sentence
from gradstudy.scripts.server_options import SERVER_PASSWORD_VARIABLE, Server, ServerPasswordFile, pass_on
from gradstudy.scripts.verbs import (
    confirm,
    dashboard,
    diagnose,
    exclude,
    extend,
    launch,
    probe,
    query,
    replay,
    report,
    rescue,
    serve,
    status,
    work,
)
from gradstudy.scripts.verbs.catalogue import presets, strategies, tasks
from gradstudy.scripts.verbs.ending import archive, delete, stop

ALLOCATIONS_BETWEEN_COLLECTIONS = 100_000
"""Of the garbage collector: with Python's 700 a fifth of the start is spent on looking for garbage among modules."""

USAGE_ERROR = typer.BadParameter.__mro__[1]
"""What typer raises for every wrong use; it has no public name."""


class Verbs(TyperGroup):
    """The verbs; what typer says of a wrong option may repeat it, and it may be a URL with its password."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if isinstance(error, USAGE_ERROR):
                setattr(error, "message", sentence(str(getattr(error, "message", ""))))  # noqa: B010
            raise


app = typer.Typer(
    name="gradstudy",
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

VERBS: tuple[Callable[..., None], ...] = (
    launch.launch,
    probe.probe,
    work.work,
    serve.serve,
    status.status,
    report.report,
    confirm.confirm,
    extend.extend,
    exclude.exclude,
    replay.replay,
    rescue.rescue,
    diagnose.diagnose,
    query.query,
    dashboard.dashboard,
    strategies.strategies,
    tasks.tasks,
    presets.presets,
    archive.archive,
    stop.stop,
    delete.delete,
)
TAKE_PASSWORD = ("dashboard", "serve")
"""The verbs that read the dashboard's password, and take it out of the environment."""

for verb in VERBS:
    app.command()(with_exit_code(verb))


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gradstudy {version('gradstudy')}")
        raise typer.Exit


@app.callback()
def gradstudy(
    context: typer.Context,
    server: Server = None,
    password_file: ServerPasswordFile = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Find the learning rate, clip threshold and strategy that keep LSTM and GRU seq2seq models from diverging."""
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"
    if context.invoked_subcommand not in TAKE_PASSWORD:
        os.environ.pop(PASSWORD_VARIABLE, None)  # code of a study must not read it
    context.obj = os.environ.pop(SERVER_PASSWORD_VARIABLE, None) or None  # nor this one
    with_exit_code(pass_on)(context, server, password_file)


def main() -> None:
    """Run the command line."""
    atexit.register(gc.freeze)  # at its end the interpreter collects garbage three times: nearly a second with torch
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may have no more than ASCII
    app()


if __name__ == "__main__":
    main()
