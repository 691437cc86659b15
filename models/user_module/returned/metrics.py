"""What is measured beside the loss: numbers by name, averaged over the batches of validation."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from gradstudy.models.user_module.returned.problem import Measure, ReturnedError, as_number, is_number, kind

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,63}")
UNNAMED = "metric"
"""The name of the number of a function without a name."""


def named_measure(task: str, metric: Any) -> Measure:
    """The user's metric function as numbers by name: one number has the name of the function.

    The function made raises ReturnedError for what is neither a number nor numbers by name.
    """
    name = getattr(metric, "__name__", None)
    alone = name if isinstance(name, str) and NAME.fullmatch(name) else UNNAMED

    def measure(module: nn.Module, batch: Any) -> Mapping[str, float]:
        found = metric(module, batch)
        if is_number(found):
            return {alone: as_number(found)}
        if not isinstance(found, Mapping):
            raise ReturnedError(
                f"the metric of {task} must return a number, or a dictionary of numbers by name, "
                f"but returned {kind(found)}"
            )
        for key, value in found.items():
            if not isinstance(key, str) or not NAME.fullmatch(key):
                raise ReturnedError(
                    f"a name of a metric of {task} must be 1 to 64 letters, digits or _./- and begin with a letter, "
                    f"but is {key!r}"
                )
            if not is_number(value):
                raise ReturnedError(f"the metric {key} of {task} must be a number, but is {kind(value)}")
        return {key: as_number(value) for key, value in found.items()}

    return measure


def averaged(found: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each number over the batches that have it, in the order of the names."""
    values: dict[str, list[float]] = {}
    for one in found:
        for name, value in one.items():
            values.setdefault(name, []).append(value)
    return {name: sum(each) / len(each) for name, each in sorted(values.items())}
