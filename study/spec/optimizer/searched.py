"""Hyperparameters of the optimizer that are searched on a range, on a logarithmic axis of their own."""

from collections.abc import Mapping
from typing import Any

from gradstudy.models.optimizer_settings import HYPERPARAMETERS, below_one
from gradstudy.study.spec.axis import Range

LACKS = "one_minus_"
"""Begins the name of Optuna's parameter for what a hyperparameter lacks to 1."""
NEAR_ONE = ("momentum", "beta1", "beta2")
"""They are averages over 1 / (1 - value) steps: searched by the logarithm of what they lack to 1."""
WORD_DIGITS = 4
HIGHEST = {"epsilon": 1.0, "weight_decay": 100.0}


def checked(name: str, given: Range) -> Range:
    """A range of a hyperparameter; raises ValueError for one that cannot be searched."""
    low, high = given
    if name not in HYPERPARAMETERS:
        raise ValueError(f"{name!r} cannot be searched on a range: accepted are {', '.join(HYPERPARAMETERS)}")
    if name in NEAR_ONE and not 0 <= low < high < 1:
        raise ValueError(f"{name} must rise from at least 0 to less than 1, but got {low:g}:{high:g}")
    if name in HIGHEST and not 0 < low < high <= HIGHEST[name]:
        raise ValueError(
            f"{name} must rise from a positive number to at most {HIGHEST[name]:g}, but got {low:g}:{high:g}"
        )
    return low, high


def parameter(name: str) -> str:
    """Optuna's parameter: of what a hyperparameter lacks to 1, or the hyperparameter itself."""
    return LACKS + name if name in NEAR_ONE else name


def turned(name: str, value: float) -> float:
    """Optuna's value for that of a hyperparameter, and the other way round."""
    return 1 - value if name in NEAR_ONE else value


def bounds(name: str, given: Range) -> Range:
    """The ends of the axis of Optuna's parameter."""
    low, high = sorted(turned(name, end) for end in given)
    return low, high


def in_words(name: str, value: float) -> str:
    """A value of a hyperparameter with four digits; of one near 1 of what it lacks to 1, as it is searched."""
    return f"{below_one(value, WORD_DIGITS)}" if name in NEAR_ONE and value < 1 else f"{value:.{WORD_DIGITS}g}"


def check_searched(spec: Mapping[str, Any]) -> None:
    """Raise ValueError where a hyperparameter that is searched is given, too, or the sampler cannot search it."""
    space = spec["space"]
    for name in space.hyperparameters:
        if spec[name] is not None:
            raise ValueError(f"{name} is searched and cannot be given, too, but got {spec[name]:g}")
        if name in space.factors:
            raise ValueError(f"{name} is searched on a range or varied by values: give one of the two")
    if space.hyperparameters and spec["sampler"] in ("auto", "frontier"):
        raise ValueError(
            f"sampler {spec['sampler']!r} cannot search {', '.join(space.hyperparameters)}: use qmc, random or tpe"
        )
