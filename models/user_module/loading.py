"""The user's own model, data and loss: what their function is given and what it returns."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gradstudy.models.tasks.errors import TaskError
from gradstudy.models.user_module.importing import digest_of, folders_of, import_function

GIVEN = ("seed", "cell", "batch_size", "device")
"""What a function is given where it has a parameter of that name; options of the task come on top."""

ONE_CELL = "module"
"""The cell of a function without a parameter ``cell``."""


class Problem(NamedTuple):
    """What the user's function returns; a plain tuple of the same is as good.

    Attributes:
        module: untrained.
        batches: of training, of any type: a list, a ``DataLoader``, anything that can be iterated over again, an
            endless generator, or a function of the step, which counts from 0.
        loss: of a batch, from module and batch, a tensor without axes.
        validation: batches that the loss is averaged over, without gradient and in evaluation mode; without them, the
            first training batches.
        optimizer: of a list of parameters and a learning rate, for ``--optimizer own``.
    """

    module: nn.Module
    batches: Iterable[Any] | Callable[[int], Any]
    loss: Callable[[nn.Module, Any], Tensor]
    validation: Iterable[Any] | None = None
    optimizer: Callable[[list[nn.Parameter], float], torch.optim.Optimizer] | None = None


@dataclass(frozen=True)
class UserModule:
    """A function of the user's, imported; the same one with the same options is the same, however often it is loaded.

    Attributes:
        task: its name, ``module:package.module:function``.
        function: returns a ``Problem``.
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

    def problem(self, **given: Any) -> Problem:
        """Call the function with what it takes of ``given`` (``GIVEN``).

        Raises:
            TypeError: it returned something else than a problem.
        """
        made = self.function(**{name: value for name, value in given.items() if self.takes(name)}, **self.options)
        if not isinstance(made, tuple) or len(made) not in (3, 4, 5):
            raise TypeError(
                f"{self.task} must return (module, batches, loss), and may return validation batches and a function "
                f"that makes an optimizer after them, but returned {_described(made)}"
            )
        problem = Problem(*made)
        if not isinstance(problem.module, nn.Module):
            raise TypeError(f"the module of {self.task} must be a torch.nn.Module, but is {_described(problem.module)}")
        if not callable(problem.batches) and not isinstance(problem.batches, Iterable):
            raise TypeError(
                f"the batches of {self.task} must be iterable or a function of the step, "
                f"but are {_described(problem.batches)}"
            )
        if not callable(problem.loss):
            raise TypeError(
                f"the loss of {self.task} must be a function of module and batch, but is {_described(problem.loss)}"
            )
        if problem.optimizer is not None and not callable(problem.optimizer):
            raise TypeError(
                f"the optimizer of {self.task} must be a function of parameters and learning rate, "
                f"but is {_described(problem.optimizer)}"
            )
        return problem


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


def _described(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {list(value.shape)}"
    return f"{type(value).__name__}"
