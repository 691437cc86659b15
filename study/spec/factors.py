"""Factors: fields of a spec and options of its task that a study searches beside cell, strategy and learning rate."""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from gradstudy.models.optimizer_settings import HYPERPARAMETERS
from gradstudy.models.tasks.catalogue import find_task
from gradstudy.models.tasks.module_task import is_module_task

FactorValue = bool | int | float | str
Factors = tuple[tuple[str, FactorValue], ...]
"""The factors of one setting, each with its value, by name."""

OF_AN_OPTIMIZER = (*HYPERPARAMETERS, "schedule", "warmup", "halve_every")
OF_A_MODULE = ("batch_size", "optimizer", "guard")
OF_THE_SPEC = ("loss", "precision", *OF_A_MODULE, *OF_AN_OPTIMIZER)
"""What of the spec counts for the user's own model; all else that it varies is an option of its function."""
OF_THE_MODEL = (
    *("hidden_size", "embedding_size", "layers", "bidirectional", "attention", "tied", "label_smoothing", "dropout"),
    *("forget_bias", "parametrization"),
)
TASK_OPTIONS = "task_options"
"""The field of a spec that holds the options of its task."""
NONE = "none"
"""Stands for a field's default of none: neither TOML nor Optuna's categories of text have one. A task's option has no
such default, and to it this is a word like any other."""


def in_order(factors: Mapping[str, FactorValue]) -> Factors:
    """The factors by name, whatever order a database keeps them in."""
    return tuple(sorted(factors.items()))


def combinations(factors: Mapping[str, Iterable[FactorValue]]) -> list[Factors]:
    """Every choice of one value for each factor; without factors the empty one."""
    return [in_order(dict(zip(factors, values, strict=True))) for values in product(*factors.values())]


def described(factors: Mapping[str, FactorValue]) -> str:
    """The factors in words, such as ``length 50, standardize true``; empty without factors."""
    return ", ".join(f"{name} {shown(value)}" for name, value in in_order(factors))


def shown(value: FactorValue) -> str:
    """A value as a command line takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def has_own_optimizer(optimizer: Any, factors: Mapping[str, Iterable[Any]]) -> bool:
    """Whether any trial of a study has the optimizer of the user's own model."""
    return "own" in (optimizer, *factors.get("optimizer", ()))


def place_of(task: str, name: str, *, own_optimizer: bool) -> tuple[str, ...]:
    """Where a spec for this task has a factor: the names of a field and of those that it lies in.

    With an optimizer of their own, what optimizers have is an option of the user's function.

    Raises:
        ValueError: there is no such factor; the text says which there are.
    """
    if is_module_task(task):  # whose function says which options it takes, where it can be imported
        of_the_spec = OF_A_MODULE if own_optimizer else (*OF_A_MODULE, *OF_AN_OPTIMIZER)
        return (name,) if name in of_the_spec else (TASK_OPTIONS, name)
    if name in OF_THE_SPEC:
        return (name,)
    if name in OF_THE_MODEL:
        return ("model", name)
    found, _ = find_task(task)
    options = [option.name for option in found.options]
    if name in options:
        return (TASK_OPTIONS, name)
    accepted = ", ".join([*OF_THE_SPEC, *OF_THE_MODEL])
    of_task = f" and of task {found.name!r} {', '.join(options)}" if options else ""
    raise ValueError(f"there is no factor {name!r} to vary: accepted are {accepted}{of_task}")


def rates_apart(values: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's values, in which those of the learning rate may be given like a factor's, with them as its axis."""
    space, name = values.get("space"), "learning_rate"
    factors = space.get("factors") if isinstance(space, dict) else None
    if not isinstance(space, dict) or not isinstance(factors, dict) or name not in factors:
        return dict(values)
    if name in space:
        raise ValueError(f"space.{name} and space.factors.{name} are one: give one of them")
    others = {other: given for other, given in factors.items() if other != name}
    return {**values, "space": space | {"factors": others, name: {"values": factors[name]}}}


def replaced(values: Mapping[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The values that a spec is made of with a factor put in."""
    name, *inner = place
    if name == TASK_OPTIONS:
        return {**values, name: {**values.get(name, {}), inner[0]: value}}
    if not inner:
        return {**values, name: None if value == NONE else value}
    return {**values, name: replaced(values.get(name, {}), tuple(inner), value)}


def put_in(values: Mapping[str, Any], place: tuple[str, ...]) -> Any:
    """The value of a factor in a spec's values: what ``replaced`` has put in, as it is understood."""
    found: Any = values
    for name in place:
        found = found.get(name)
    return NONE if found is None else found
