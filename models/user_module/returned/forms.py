"""The forms in which the user's function may return a problem, each checked part by part."""

import dataclasses
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

import torch
from torch import nn

from gradstudy.models.user_module.returned.lightning import (
    Steps,
    configured_optimizer,
    has_own,
    is_data_module,
    loaders_of,
)
from gradstudy.models.user_module.returned.metrics import named_measure
from gradstudy.models.user_module.returned.outputs import loss_of_outputs
from gradstudy.models.user_module.returned.problem import Problem, ReturnedError, Setup, kind

NAMES = {
    "module": "module",
    "model": "module",
    "batches": "batches",
    "train": "batches",
    "loss": "loss",
    "validation": "validation",
    "valid": "validation",
    "optimizer": "optimizer",
    "metric": "metric",
    "metrics": "metric",
}
"""Names that a part may have, each with the field of ``Problem`` that it is."""

ACCEPTED = (
    "(module, batches, loss), then validation batches, a function that makes an optimizer and a metric if you have them"
)


def as_setup(task: str, made: Any) -> Setup:
    """What is trained of what the user's function returned.

    Raises:
        ReturnedError: a part is missing, not known or of another type.
    """
    problem = _problem(task, made)
    module = problem.module
    if not isinstance(module, nn.Module):
        given = f"{kind(module)}: call it" if isinstance(module, type) else kind(module)
        raise ReturnedError(f"the module of {task} must be a torch.nn.Module, but is {given}")
    batches, validation = problem.batches, problem.validation
    if is_data_module(batches):
        batches, of_data = loaders_of(task, batches)
        validation = of_data if validation is None else validation
    _check_batches(task, batches)
    if validation is not None:
        _check_validation(task, validation)
    if problem.loss is not None:
        _check_loss(task, problem.loss)
    if problem.optimizer is not None:
        _check_optimizer(task, problem.optimizer)
    if problem.metric is not None:
        _check_function(task, "metric", problem.metric, "module and batch")
    steps = Steps(task, module) if has_own(module, "training_step") else None
    loss = problem.loss or (steps.training_loss if steps else loss_of_outputs(task))
    optimizer = problem.optimizer
    if optimizer is None and steps and has_own(module, "configure_optimizers"):
        optimizer = configured_optimizer(task, module, batches)
    measures = [named_measure(task, problem.metric)] if problem.metric is not None else []
    return Setup(
        module=module,
        batches=batches,
        loss=loss,
        validation=validation,
        validation_loss=problem.loss or (steps.validation_loss if steps else loss),
        optimizer=optimizer,
        measures=(*(steps.measures() if steps else ()), *measures),
    )


def _problem(task: str, made: Any) -> Problem:
    """The parts by their fields."""
    if isinstance(made, nn.Module):
        raise ReturnedError(f"{task} must return {ACCEPTED}, but returned {type(made).__name__}, a model without data")
    names = _named(made)
    if names is not None:
        return _by_name(task, names)
    if not isinstance(made, tuple) or not 2 <= len(made) <= len(Problem._fields):
        raise ReturnedError(
            f"{task} must return {ACCEPTED}, or the same by name ({', '.join(NAMES)}), but returned {_counted(made)}"
        )
    return Problem(*made)


def _named(made: Any) -> dict[str, Any] | None:
    """The parts by name, of a dictionary, a named tuple or a data class; None of what has no names."""
    if isinstance(made, Mapping):
        return {str(name): part for name, part in made.items()}
    if isinstance(made, tuple) and (fields := getattr(made, "_fields", None)):
        return dict(zip(fields, made, strict=True))
    if dataclasses.is_dataclass(made) and not isinstance(made, type):
        return {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
    return None


def _by_name(task: str, names: Mapping[str, Any]) -> Problem:
    parts: dict[str, Any] = {}
    for name, part in names.items():
        if name not in NAMES:
            raise ReturnedError(
                f"what {task} returns has no part {name!r}: accepted are {', '.join(NAMES)}, each at most once"
            )
        if NAMES[name] in parts:
            raise ReturnedError(f"{task} returned {NAMES[name]} twice: {' and '.join(_alike(name, names))} are one")
        parts[NAMES[name]] = part
    for field in ("module", "batches"):
        if field not in parts:
            raise ReturnedError(
                f"{task} must return {' or '.join(name for name in NAMES if NAMES[name] == field)}, "
                f"but returned {', '.join(names) or 'nothing'}"
            )
    return Problem(**parts)


def _alike(name: str, names: Iterable[str]) -> Iterator[str]:
    return (one for one in names if NAMES.get(one) == NAMES[name])


def _check_batches(task: str, batches: Any) -> None:
    if isinstance(batches, (str, Mapping)) or not (callable(batches) or isinstance(batches, Iterable)):
        hint = ": put it into a DataLoader" if hasattr(batches, "__getitem__") and hasattr(batches, "__len__") else ""
        raise ReturnedError(
            f"the batches of {task} must be iterable or a function of the step, but are {kind(batches)}{hint}"
        )
    if isinstance(batches, (type, nn.Module)):
        raise ReturnedError(f"the batches of {task} come second, but there is {kind(batches)}")
    if isinstance(batches, Sized) and len(batches) == 0:
        raise ReturnedError(f"the batches of {task} must not end, but there are none")


def _check_validation(task: str, validation: Any) -> None:
    if isinstance(validation, (str, Mapping)) or not isinstance(validation, Iterable):
        raise ReturnedError(
            f"the validation batches of {task} must be a list or a DataLoader, but are {kind(validation)}"
        )
    if isinstance(validation, Iterator):
        raise ReturnedError(
            f"the validation batches of {task} are used several times, but a {kind(validation)} can be used once only: "
            "return a list or a DataLoader"
        )
    if isinstance(validation, Sized) and len(validation) == 0:
        raise ReturnedError(f"there is no validation batch in what {task} returned: leave it out, or return some")


def _check_loss(task: str, loss: Any) -> None:
    if isinstance(loss, nn.Module) and type(loss).__module__.startswith("torch.nn."):
        raise ReturnedError(
            f"the loss of {task} must be a function of module and batch, but is {kind(loss)}, which takes outputs and "
            "targets: return lambda module, batch: criterion(module(batch[0]), batch[1])"
        )
    if not callable(loss) and isinstance(loss, Iterable):
        raise ReturnedError(
            f"the loss of {task} must be a function of module and batch, but is {kind(loss)}: "
            "validation batches come after the loss"
        )
    _check_function(task, "loss", loss, "module and batch")


def _check_optimizer(task: str, optimizer: Any) -> None:
    if isinstance(optimizer, torch.optim.Optimizer):
        name = type(optimizer).__name__
        raise ReturnedError(
            f"the optimizer of {task} must be a function of parameters and learning rate, but is {name} already made: "
            f"return lambda parameters, lr: torch.optim.{name}(parameters, lr)"
        )
    _check_function(task, "optimizer", optimizer, "parameters and learning rate")


def _check_function(task: str, part: str, function: Any, of: str) -> None:
    """Raise ReturnedError unless it can be called with two things."""
    if not callable(function):
        raise ReturnedError(f"the {part} of {task} must be a function of {of}, but is {kind(function)}")
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions written in C have none
        return
    try:
        signature.bind(None, None)
    except TypeError:
        raise ReturnedError(f"the {part} of {task} must be a function of {of}, but takes {_taken(signature)}") from None


def _taken(signature: inspect.Signature) -> str:
    return f"({', '.join(signature.parameters)})"


def _counted(made: Any) -> str:
    return f"a tuple of {len(made)}" if isinstance(made, tuple) else kind(made)
