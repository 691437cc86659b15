"""Which options somebody gave, and those of workers, which have no effect where a verb leaves the work to others."""

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
