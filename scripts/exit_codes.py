"""Where errors become one sentence and an exit code."""

import errno
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from gradstudy.scripts.printable import printable, sentence
from gradstudy.storage.user_info import without_user_info

WORK_FAILED = 1
WRONG_USAGE = 2
DIVERGED = 3
"""Of ``diagnose``: nothing failed, but a run diverged."""
INTERRUPTED = 130
DEBUG_VARIABLE = "GRADSTUDY_DEBUG"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where a disk, or a user's share of it, has no room for what is written."""


def with_exit_code(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command end with one sentence on standard error instead of a traceback.

    Errors that the user can mend by calling differently exit with 2, others that gradstudy knows with 1; anything
    else is a defect and keeps its traceback.
    """

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            _check_folder()
            _check_text(kwargs)
            command(*args, **kwargs)
        except BrokenPipeError:
            # The reader of the output, such as `head`, has gone: there is no one left to tell.
            _write_no_more()
            raise typer.Exit(WORK_FAILED) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            code = _exit_code(error)
            if code is None or os.environ.get(DEBUG_VARIABLE):
                raise
            if isinstance(error, OSError) and error.errno in FULL:
                _write_no_more()
            typer.echo(f"gradstudy: {_said(error)}", err=True)
            raise typer.Exit(code) from None

    return run


def _check_folder() -> None:
    from gradstudy.scripts.errors import UsageError

    try:
        Path.cwd()
    except OSError:
        raise UsageError("the current folder is gone or closed to this user; change to another one") from None


def _check_text(given: dict[str, Any]) -> None:
    """A command line may hold bytes of any kind; a database and a terminal take text."""
    from gradstudy.scripts.errors import UsageError

    for name, value in given.items():
        try:
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str):
                    text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"what was given for {name} is not text in UTF-8: {value!a}") from None


def _write_no_more() -> None:
    """Let what is still to be written, also at the end of Python, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _said(error: Exception) -> str:
    """The error in one sentence; where the user's own code failed, its traceback follows."""
    from gradstudy.study.errors import TrialsFailError

    text = str(error)
    return printable(without_user_info(text)) if isinstance(error, TrialsFailError) else sentence(text)


def _exit_code(error: Exception) -> int | None:
    """The exit code of an error that gradstudy knows, None for one that it does not."""
    from gradstudy.models.tasks.errors import TaskError
    from gradstudy.scripts.errors import CannotServeError, NoAnswerError, RefusedError, UsageError
    from gradstudy.storage.errors import StorageError, UnavailableError
    from gradstudy.study.errors import StudyError, WorkFailedError

    if isinstance(error, (UnavailableError, WorkFailedError, CannotServeError, NoAnswerError)):
        return WORK_FAILED
    if isinstance(error, OSError) and error.errno in FULL:
        return WORK_FAILED
    if isinstance(error, (StudyError, StorageError, TaskError, UsageError, RefusedError)):
        return WRONG_USAGE
    return None
