"""``module:package.module:function``: the name of the user's own model, and the import of it. Does not import torch."""

import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from gradstudy.models.tasks.errors import TaskError

PREFIX = "module:"

FORM = "module:package.module:function"

_NAME = re.compile(r"module:(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*)")


def is_module_task(task: str) -> bool:
    """Whether a task is the user's own model."""
    return task.startswith(PREFIX)


def check_module_task(task: str) -> None:
    """Raise TaskError unless ``task`` is a name of the form ``module:package.module:function``."""
    if not _NAME.fullmatch(task):
        raise TaskError(f"must be of the form {FORM} to name a model of your own, but got {task!r}")


def import_function(task: str, folders: Sequence[str]) -> tuple[Callable[..., Any], str | None]:
    """Import the function that a task names.

    The first of ``folders`` that has the module comes first on Python's search path from then on, so that the user's
    own ``models`` or ``utils`` are found before those that are installed.

    Returns:
        The function, and the folder; None where the module is an installed one.

    Raises:
        TaskError: the name has another form, there is no such module or function, or importing it fails.
    """
    check_module_task(task)
    _, name, attribute = task.split(":")
    top = name.partition(".")[0]
    folder = next((folder for folder in folders if PathFinder.find_spec(top, [folder])), None)
    if folder is not None and folder not in sys.path[:1]:
        sys.path.insert(0, folder)
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise TaskError(f"task {task!r} cannot be imported: {error} ({_place(error)})") from error
        raise TaskError(
            f"task {task!r} cannot be imported: there is no module {error.name!r} in {' or '.join(folders)}, "
            "nor is one installed"
        ) from error
    except Exception as error:
        raise TaskError(
            f"task {task!r} cannot be imported: {type(error).__name__}: {error} ({_place(error)})"
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        where = getattr(module, "__file__", None) or name
        raise TaskError(f"task {task!r}: there is no function {attribute!r} in {where}")
    return function, folder


def _place(error: Exception) -> str:
    """The line that an error came from."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename)}, line {trace.tb_lineno}"
