"""What the user's function returns, and what is trained from it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gradstudy.models.tasks.errors import TaskError


class ReturnedError(TaskError):
    """The user's function returned something that cannot be studied; one sentence with what is accepted."""


class Problem(NamedTuple):
    """What the user's function returns; a plain tuple of the same is as good, and other forms are.

    Attributes:
        module: untrained.
        batches: of training, of any type: a list, a ``DataLoader``, anything that can be iterated over again, an
            endless generator, or a function of the step, which counts from 0; or a data module of Lightning's.
        loss: of a batch, from module and batch, a tensor without axes; None where the module computes it.
        validation: batches that the loss is averaged over, without gradient and in evaluation mode; without them, the
            first training batches.
        optimizer: of a list of parameters and a learning rate.
        metric: of a batch of validation, from module and batch: a number, or a dictionary of numbers by name.
    """

    module: nn.Module
    batches: Any
    loss: Callable[[nn.Module, Any], Tensor] | None = None
    validation: Iterable[Any] | None = None
    optimizer: Callable[[list[nn.Parameter], float], Any] | None = None
    metric: Callable[[nn.Module, Any], Any] | None = None


class Every(NamedTuple):
    """A schedule of a learning rate, and after how many updates it steps."""

    schedule: Any
    updates: int


Measure = Callable[[nn.Module, Any], Mapping[str, float]]
"""Numbers of a batch of validation by name, in evaluation mode."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is trained: every part is there and of its type.

    Attributes:
        module: untrained.
        batches: of training, see ``Problem``.
        loss: of a batch of training.
        validation: batches; None for the first training batches.
        validation_loss: of a batch of validation.
        optimizer: of a list of parameters and a learning rate; None where there is none of the user's own.
        measures: what is measured beside the loss.
    """

    module: nn.Module
    batches: Iterable[Any] | Callable[[int], Any]
    loss: Callable[[nn.Module, Any], Tensor]
    validation: Iterable[Any] | None
    validation_loss: Callable[[nn.Module, Any], Tensor]
    optimizer: Callable[[list[nn.Parameter], float], Any] | None
    measures: tuple[Measure, ...]


def kind(given: Any) -> str:
    """What something is, in words, with an article where it has parts."""
    if isinstance(given, Tensor):
        return f"a tensor of shape {list(given.shape)}"
    if isinstance(given, (list, tuple)) and len(given) <= SHOWN:
        return f"a {type(given).__name__} of {', '.join(map(kind, given)) or 'nothing'}"
    if isinstance(given, (list, tuple)):
        return f"a {type(given).__name__} of {len(given)}"
    if given is None:
        return "None"
    if isinstance(given, type):
        return f"the class {given.__name__}"
    return type(given).__name__


SHOWN = 4
"""Parts of a list or tuple that are named one by one."""


def is_number(given: Any) -> bool:
    """Whether it is one number: Python's, numpy's or a tensor of one element."""
    if isinstance(given, Tensor):
        return given.numel() == 1 and not given.is_complex()
    return isinstance(given, (bool, int, float)) or (hasattr(given, "item") and getattr(given, "size", 0) == 1)


def as_number(given: Any) -> float:
    """One number as Python's; of a tensor without its gradient."""
    return float(given.detach().double().item() if isinstance(given, torch.Tensor) else given)
