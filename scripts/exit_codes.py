"""Where errors become one sentence and an exit code."""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

WORK_FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130
DEBUG_VARIABLE = "GRADSTUDY_DEBUG"


def with_exit_code(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command end with one sentence on standard error instead of a traceback.

    Errors that the user can mend by calling differently exit with 2, others that gradstudy knows with 1; anything
    else is a defect and keeps its traceback.
    """

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except BrokenPipeError:
            # The reader of the output, such as `head`, has gone: there is no one left to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(WORK_FAILED) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            code = _exit_code(error)
            if code is None or os.environ.get(DEBUG_VARIABLE):
                raise
            typer.echo(f"gradstudy: {error}", err=True)
            raise typer.Exit(code) from None

    return run


def _exit_code(error: Exception) -> int | None:
    """The exit code of an error that gradstudy knows, None for one that it does not."""
    from gradstudy.models.tasks.errors import TaskError
    from gradstudy.scripts.errors import CannotServeError, UsageError
    from gradstudy.storage.errors import StorageError, UnavailableError
    from gradstudy.study.errors import StudyError, WorkFailedError

    if isinstance(error, (UnavailableError, WorkFailedError, CannotServeError)):
        return WORK_FAILED
    if isinstance(error, (StudyError, StorageError, TaskError, UsageError)):
        return WRONG_USAGE
    return None
