"""Whose code this process may import. Does not import torch.

Who launches a study chooses its code. A worker takes studies from a database, where others may have put them, and calls
what they name: it imports from nowhere but the folders and packages that it was given.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.tasks.module_task import is_module_task


@dataclass(frozen=True)
class Trusted:
    """Whose code it is.

    Attributes:
        folders: with those below them.
        packages: names of installed ones.
        tasks: whose function may come from elsewhere: who launched the study has seen which it is.
    """

    folders: tuple[Path, ...]
    packages: frozenset[str]
    tasks: frozenset[str]

    def has_folder(self, folder: str | Path) -> bool:
        """Whether a folder is one of them or below one."""
        return any(Path(folder).resolve().is_relative_to(one) for one in self.folders)


INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders of installed packages, as those of a virtual environment in a project's folder."""

_trusted: Trusted | None = None
"""None: everything, for a command whose user has chosen the study."""


def trusted() -> Trusted | None:
    """What this process imports from; None for everything."""
    return _trusted


@contextmanager
def trusting_only(given: Sequence[str]) -> Iterator[None]:
    """Import only from these folders and installed packages, in every thread, until the end of the block.

    The name of a task trusts its function, wherever its module has it from.

    Raises:
        TaskError: one of them is neither.
    """
    global _trusted
    before, _trusted = _trusted, _parsed(given)
    try:
        yield
    finally:
        _trusted = before


def _parsed(given: Sequence[str]) -> Trusted:
    folders = [one for one in given if one and Path(one).is_dir()]
    tasks = [one for one in given if is_module_task(one)]
    packages = [one for one in given if one not in folders and one not in tasks]
    for name in packages:
        if not name.isidentifier() or find_spec(name) is None:
            raise TaskError(f"--allow-modules takes a folder, or the name of an installed package, but got {name!r}")
    return Trusted(tuple(Path(one).resolve() for one in folders), frozenset(packages), frozenset(tasks))


def check_origin(task: str, function: Callable[..., Any], folder: str | None) -> None:
    """Refuse a function that a module only imported: ``from os import system`` makes no model.

    Args:
        task: whose function it is.
        function: that its module has under the task's name.
        folder: that the module was found in; None for an installed one.

    Raises:
        TaskError: it is Python's own, or of somewhere that is not trusted.
    """
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__module__", None) or "builtins"
    top = name.partition(".")[0]
    if folder is not None and is_in(name, folder):
        return
    if top in sys.stdlib_module_names:
        raise TaskError(f"task {task!r}: {name}.{getattr(function, '__name__', '?')} is Python's own, not a model's")
    if _trusted is None or task in _trusted.tasks or top in _trusted.packages:
        return
    if not any(is_in(name, one) for one in _trusted.folders):
        raise TaskError(f"task {task!r}: its function comes from {name}, {only_from()}")


def only_from() -> str:
    """What is said of what is not trusted."""
    assert _trusted is not None
    names = [*map(str, _trusted.folders), *sorted(_trusted.packages)]
    return f"and this worker imports only from what --allow-modules names ({', '.join(names) or 'nothing'})"


def is_in(name: str, folder: str | Path) -> bool:
    """Whether a module that is loaded, or any part of it, lies in a folder; what is installed below it does not."""
    if name not in sys.modules:
        return False
    parts = vars(sys.modules[name])  # not by getattr: torch.classes has whatever one asks for
    places = [Path(place).resolve() for place in (parts.get("__file__"), *parts.get("__path__", ())) if place]
    root = Path(folder).resolve()
    below = [place.relative_to(root) for place in places if place.is_relative_to(root)]
    return any(not INSTALLED.intersection(place.parts) for place in below)
