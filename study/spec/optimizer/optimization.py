"""Optimizer and learning rates of a spec: what fits together, and what trials are trained with."""

from collections.abc import Iterable, Mapping
from typing import Any

from gradstudy.models.optimizer_settings import (
    HYPERPARAMETERS,
    OPTIMIZERS,
    OptimizerSettings,
    takers,
)
from gradstudy.models.schedules import Schedule

HALVINGS = 5
"""How often a run halves its learning rate where the spec does not say when."""


def optimizer_settings(spec: Mapping[str, Any]) -> OptimizerSettings:
    """The optimizer of every trial.

    Args:
        spec: the fields of a spec; stored ones may lack those that came later.

    Raises:
        ValueError: it is the user's own.
    """
    name = spec.get("optimizer", "sgd")
    if name == "own":
        raise ValueError("the optimizer is that of the user's own model")
    given = {field: spec.get(field) for field in HYPERPARAMETERS}
    return OptimizerSettings(name, {field: value for field, value in given.items() if value is not None})


def schedule_of(spec: Mapping[str, Any]) -> Schedule:
    """The schedule of every trial's learning rate, by the fields of a spec."""
    steps, given = spec.get("steps", 1), spec.get("warmup", 0)
    warmup = round(given * steps) if given < 1 else int(given)
    if warmup == 1:  # which begins at the highest learning rate
        warmup = 0
    halve_every = spec.get("halve_every") or max(1, (steps - warmup) // HALVINGS)
    return Schedule(spec.get("schedule", "constant"), steps=steps, warmup=warmup, halve_every=halve_every)


def check_hyperparameters(optimizers: Iterable[Any], given: Iterable[str]) -> None:
    """Raise ValueError unless every optimizer takes what was given."""
    for name in given:
        for optimizer in optimizers:
            if optimizer == "own":
                raise ValueError(f"{name} is not taken by optimizer 'own': set it in your own function")
            if name not in OPTIMIZERS[optimizer].defaults:
                raise ValueError(f"{name} is taken by {', '.join(takers(name))}, but not by optimizer {optimizer!r}")


def check_schedule(spec: Mapping[str, Any], optimizers: Iterable[Any], schedules: Iterable[Any]) -> None:
    """Raise ValueError where a schedule cannot be, or what was given has no effect."""
    warmup, steps = spec["warmup"], spec["steps"]
    if warmup >= 1 and (warmup >= steps or warmup != int(warmup)):
        raise ValueError(
            f"warmup must be a share below 1 or a whole number of steps below steps ({steps}), but got {warmup:g}"
        )
    others = [schedule for schedule in schedules if schedule != "halving"]
    if spec["halve_every"] is not None and others:
        raise ValueError(f"halve_every is taken by schedule 'halving', but not by {others[0]!r}")
    if "own" in optimizers and (warmup or set(schedules) != {"constant"}):
        raise ValueError(
            "schedule and warmup are not taken by optimizer 'own': return a schedule from your own function"
        )
