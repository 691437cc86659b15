"""Factors: fields of a spec and options of its task that a study searches beside cell, strategy and learning rate."""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from gradstudy.models.tasks.task import Task

FactorValue = bool | int | float | str
Factors = tuple[tuple[str, FactorValue], ...]
"""The factors of one setting, each with its value, by name."""

OF_THE_SPEC = ("loss", "batch_size", "optimizer", "guard")
OF_THE_MODEL = ("hidden_size", "embedding_size", "layers", "attention", "dropout", "forget_bias")
NONE = "none"
"""Stands for a field's default of none: neither TOML nor Optuna's categories of text have one."""


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


def replaced(values: Mapping[str, Any], task: Task, name: str, value: Any) -> dict[str, Any]:
    """The values that a spec is made of with a factor put in.

    Raises:
        ValueError: there is no such factor; the text says which there are.
    """
    given = None if value == NONE else value
    if name in OF_THE_SPEC:
        return {**values, name: given}
    if name in OF_THE_MODEL:
        return {**values, "model": {**values.get("model", {}), name: given}}
    options = [option.name for option in task.options]
    if name in options:
        return {**values, "task_options": {**values.get("task_options", {}), name: given}}
    accepted = ", ".join([*OF_THE_SPEC, *OF_THE_MODEL])
    of_task = f" and of task {task.name!r} {', '.join(options)}" if options else ""
    raise ValueError(f"there is no factor {name!r} to vary: accepted are {accepted}{of_task}")


def put_in(values: Mapping[str, Any], name: str) -> Any:
    """The value of a factor in a spec's values: what ``replaced`` has put in, as it is understood."""
    of_options = values["task_options"].get(name)
    value = values[name] if name in OF_THE_SPEC else values["model"].get(name, of_options)
    return NONE if value is None else value
