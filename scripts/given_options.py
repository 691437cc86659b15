"""Which options somebody gave, and which have no effect where the work is left to others."""

import typer

from gradstudy.scripts.errors import UsageError

OF_WORKERS = ("workers", "slots", "threads", "device", "engine", "gpus")


def is_given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line; not where it comes from the environment or its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def refuse_with_detach(context: typer.Context) -> None:
    """Refuse what was given on the command line for workers that ``--detach`` does not start.

    Raises:
        UsageError: there is such an option.
    """
    refuse_idle(context, *OF_WORKERS, reason="with --detach, which starts no workers; `gradstudy work` takes it")


def refuse_idle(context: typer.Context, *names: str, reason: str) -> None:
    """Refuse options that stand on the command line and have no effect.

    Raises:
        UsageError: there is one.
    """
    for name in names:
        if is_given(context, name):
            raise UsageError(f"--{name.replace('_', '-')} has no effect {reason}")


def refuse_with_external(context: typer.Context) -> None:
    """Refuse all that says how runs are trained where their own programs train them.

    Raises:
        UsageError: there is such an option.
    """
    for option in context.command.params:
        if option.name not in ("name", "storage", "external") and is_given(context, str(option.name)):
            raise UsageError(
                f"{option.opts[0]} has no effect with --external: the programs say how their runs are trained"
            )
