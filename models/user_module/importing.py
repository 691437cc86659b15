"""Importing the function that a task names. Does not import torch."""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib import import_module, invalidate_caches
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.module_task import check_module_task
from gradstudy.models.user_module.trusted import check_origin, is_in, only_from, trusted


def folders_of(launched_in: str | None) -> list[str]:
    """Where a module is looked for: the folder that its study was launched in, if it is here, then the current one."""
    return [one for one in dict.fromkeys([launched_in, str(Path.cwd())]) if one is not None and Path(one).is_dir()]


def import_function(task: str, folders: Sequence[str]) -> tuple[Callable[..., Any], str | None]:
    """Import the function that a task names.

    The folder that has the module comes first on Python's search path from then on, so that the user's own ``models``
    or ``utils`` are found before those that are installed. A module of another folder that has its name is forgotten.

    Returns:
        The function, and the folder; None where the module is an installed one.

    Raises:
        TaskError: the name has another form, it is not trusted, there is no such module or function, or importing it
            fails.
    """
    folder = find_folder(task, folders)
    _, name, attribute = task.split(":")
    if folder is not None:
        _put_first(folder, name.partition(".")[0])
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise TaskError(f"task {task!r} cannot be imported: {error} ({_place(error)})") from error
        raise TaskError(
            f"task {task!r} cannot be imported: there is no module {error.name!r} in {' or '.join(folders)}, "
            "nor is one installed"
        ) from error
    except (Exception, SystemExit) as error:
        raise TaskError(f"task {task!r} cannot be imported: {in_a_line(error)}") from error
    function = getattr(module, attribute, None)
    if not callable(function):
        where = getattr(module, "__file__", None) or name
        raise TaskError(f"task {task!r}: there is no function {attribute!r} in {where}")
    check_origin(task, function, folder)
    return function, folder


def find_folder(task: str, folders: Sequence[str]) -> str | None:
    """The folder that a task's module would be imported from; None for an installed one. Nothing is imported.

    Args:
        task: ``module:package.module:function``.
        folders: to look into, in their order; where only some are trusted, those, and then all that are trusted.

    Raises:
        TaskError: the name has another form, or it is not trusted.
    """
    check_module_task(task)
    top = task.split(":")[1].partition(".")[0]
    only = trusted()
    places = folders if only is None else [*filter(only.has_folder, folders), *map(str, only.folders)]
    folder = next((folder for folder in places if PathFinder.find_spec(top, [folder])), None)
    if folder is None and only is not None and top not in only.packages:
        wanted = next((folder for folder in folders if PathFinder.find_spec(top, [folder])), None)
        is_found = "is an installed module or none" if wanted is None else f"is found in {wanted}"
        raise TaskError(f"task {task!r}: {top!r} {is_found}, {only_from()}")
    return folder


def forget_users_modules() -> None:
    """Let what users' folders hold be imported anew, as it may have been changed."""
    for folder in _LOADED_BEFORE:
        _forget(folder)
    invalidate_caches()


def digest_of(task: str, folder: str | None) -> str:
    """The digest of what was imported for a task: its module, and what else lies in the module's folder.

    Args:
        task: whose function was imported.
        folder: that it was found in; None for an installed one.
    """
    module = task.split(":")[1]
    names = [module] if folder is None else _brought_by(folder)
    files = {file for name in names if (file := vars(sys.modules[name]).get("__file__"))}
    contents = sha256()
    for file in sorted(files):
        with suppress(OSError):
            contents.update(file.encode() + b"\0" + Path(file).read_bytes())
    return contents.hexdigest()


def _put_first(folder: str, top: str) -> None:
    """Let a folder come first on the search path, and forget modules of other folders that go by one of its names."""
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    if not is_in(top, folder):
        for other in _LOADED_BEFORE:
            if top in _brought_by(other):
                _forget(other)
    _LOADED_BEFORE.setdefault(folder, frozenset(sys.modules))


def _brought_by(folder: str) -> list[str]:
    """The modules that are loaded because something was imported from a folder, and that lie there."""
    before = _LOADED_BEFORE[folder]
    return [name for name in list(sys.modules) if name not in before and _is_users(name) and is_in(name, folder)]


def _is_users(name: str) -> bool:
    return name.partition(".")[0] != "gradstudy"  # whose own folder may be the one


def _forget(folder: str) -> None:
    for name in _brought_by(folder):
        del sys.modules[name]


_LOADED_BEFORE: dict[str, frozenset[str]] = {}
"""Folders that were imported from, with the modules that were there already."""


def in_a_line(error: BaseException) -> str:
    """What the user's code raised, and where."""
    first, *_ = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {first} ({_place(error)})"


def _place(error: BaseException) -> str:
    """The line that an error came from: file and number."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename)}, line {trace.tb_lineno}"
