"""The user's own model, data and loss: what their function is given. Does not import torch."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.user_module.importing import digest_of, folders_of, import_function

if TYPE_CHECKING:
    from gradstudy.models.user_module.returned.problem import Setup

GIVEN = ("seed", "cell", "batch_size", "device")
"""What a function is given where it has a parameter of that name; options of the task come on top."""

ONE_CELL = "module"
"""The cell of a function without a parameter ``cell``."""


@dataclass(frozen=True)
class UserModule:
    """A function of the user's, imported; the same one with the same options is the same, however often it is loaded.

    Attributes:
        task: its name, ``module:package.module:function``.
        function: returns a ``Problem``, in whichever form.
        options: of the task, further keyword arguments.
        folder: that it was found in; None for an installed one.
        code: digest of what was imported.
    """

    task: str
    function: Callable[..., Any]
    options: Mapping[str, object] = field(hash=False)
    folder: str | None
    code: str

    def takes(self, name: str) -> bool:
        """Whether the function has a parameter of that name."""
        return name in inspect.signature(self.function).parameters

    def setup(self, **given: Any) -> "Setup":
        """Call the function with what it takes of ``given`` (``GIVEN``).

        Raises:
            ReturnedError: it returned what cannot be studied; and whatever the user's code raises.
        """
        from gradstudy.models.user_module.returned.forms import as_setup

        taken = {name: value for name, value in given.items() if self.takes(name)}
        return as_setup(self.task, self.function(**taken, **self.options))


def load_module(task: str, options: Mapping[str, object], cells: tuple[str, ...], folder: str | None) -> UserModule:
    """Import the user's function.

    Args:
        task: ``module:package.module:function``.
        options: further keyword arguments.
        cells: that are searched.
        folder: where the study was launched; looked into before the current one.

    Raises:
        TaskError: it cannot be imported, or is not trusted, or does not take an option, or cells.
    """
    function, found = import_function(task, folders_of(folder))
    module = UserModule(task, function, dict(options), found, digest_of(task, found))
    parameters = inspect.signature(function).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for name in options:
        if name in GIVEN or not (takes_any or name in parameters):
            accepted = ", ".join(known for known in parameters if known not in GIVEN) or "none"
            raise TaskError(f"{task} has no option {name!r}: it takes {accepted}")
    if cells != (ONE_CELL,) and not module.takes("cell"):
        raise TaskError(f"{task} has no parameter `cell`, so it cannot be searched over cells ({', '.join(cells)})")
    needs = [name for name, one in parameters.items() if one.default is one.empty and one.kind in _BY_NAME]
    missing = [name for name in needs if name not in GIVEN and name not in options]
    if missing:
        raise TaskError(f"{task} needs {missing[0]!r}, which --task-option {missing[0]}=NUMBER gives")
    if "cell" in needs and cells == (ONE_CELL,):
        raise TaskError(f"{task} needs `cell`, which --cells lstm,gru gives")
    return module


_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
