"""A setting in each of its forms: asked of Optuna by a spec, as Optuna's parameters, as a row of the database."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Protocol, cast

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from gradstudy.storage.queue import SettingRow
from gradstudy.study.spec.axis import Range, ValueList, ends, listed
from gradstudy.study.spec.factors import Factors, FactorValue, combinations, in_order
from gradstudy.study.spec.optimizer import searched
from gradstudy.study.spec.parts import CellName, SearchSpace
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.wording import three_digits


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is searched, for one trial, as ``SettingRow`` has it.

    The factors are in order, by name; hyperparameters of the optimizer that are searched on a range are among them.
    """

    cell: CellName
    strategy: str
    threshold: float | None
    learning_rate: float
    factors: Factors = ()


def to_row(setting: Setting) -> SettingRow:
    """A setting as the database holds it."""
    return SettingRow(**{**vars(setting), "factors": dict(setting.factors)})


def from_row(row: SettingRow) -> Setting:
    """The setting that the database holds."""
    return Setting(
        cell=cast("CellName", row.cell),
        strategy=row.strategy,
        threshold=row.threshold,
        learning_rate=row.learning_rate,
        factors=in_order(row.factors),
    )


def rounded(setting: Setting, space: SearchSpace) -> Setting:
    """The setting as it is printed and pasted."""
    axis = space.threshold_axis(setting.strategy)
    threshold = setting.threshold
    return replace(
        setting,
        threshold=None if threshold is None or axis is None else rounded_within(threshold, axis),
        learning_rate=rounded_within(setting.learning_rate, space.learning_rate),
    )


def rounded_within(value: float, axis: Range | ValueList) -> float:
    """A number of three digits within a range, the number itself where there is none; of values the nearest one."""
    values = listed(axis)
    if values is not None:
        return min(values, key=lambda each: abs(math.log(each / value)))
    low, high = ends(axis)
    near = three_digits(value)
    return near if low <= near <= high else value


class Suggesting(Protocol):
    """What a setting is asked of; ``optuna.Trial`` is one."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """A number from low to high."""
        ...


CONSTRAINT = "divergence"
"""The key of Optuna's constraint ln(s_T / l0): positive exactly when a run diverged."""
THRESHOLD_PREFIX = "threshold_"


def threshold_parameter(strategy: str) -> str:
    """The Optuna parameter that holds a strategy's threshold: thresholds of two strategies share no axis."""
    return THRESHOLD_PREFIX + strategy


def parameters(setting: Setting, space: SearchSpace) -> dict[str, FactorValue]:
    """A setting as Optuna's parameters."""
    values: dict[str, FactorValue] = {"cell": setting.cell, "strategy": setting.strategy}
    if setting.threshold is not None:
        values[threshold_parameter(setting.strategy)] = setting.threshold
    values |= {"learning_rate": setting.learning_rate}
    for name, value in setting.factors:
        if name in space.hyperparameters:
            low, high = searched.bounds(name, space.hyperparameters[name])
            values[searched.parameter(name)] = min(max(searched.turned(name, float(value)), low), high)
        else:
            values[name] = value
    return values


def distributions(spec: StudySpec) -> dict[str, BaseDistribution]:
    """The distribution of every parameter that a setting may have."""
    space = spec.space
    found: dict[str, BaseDistribution] = {
        "cell": CategoricalDistribution(space.cells),
        "strategy": CategoricalDistribution(space.strategies),
        "learning_rate": _distribution(space.learning_rate),
    }
    for strategy in space.strategies:
        axis = space.threshold_axis(strategy)
        if axis is not None:
            found[threshold_parameter(strategy)] = _distribution(axis)
    for name, ends_of_it in space.hyperparameters.items():
        found[searched.parameter(name)] = _distribution(searched.bounds(name, ends_of_it))
    return found | {name: CategoricalDistribution(values) for name, values in space.factors.items()}


def suggest(trial: Suggesting, spec: StudySpec) -> Setting:
    """Ask a trial for its setting."""
    space = spec.space
    cell = cast("CellName", trial.suggest_categorical("cell", list(space.cells)))
    strategy = trial.suggest_categorical("strategy", list(space.strategies))
    axis = space.threshold_axis(strategy)
    threshold = None if axis is None else _suggest(trial, threshold_parameter(strategy), axis)
    learning_rate = _suggest(trial, "learning_rate", space.learning_rate)
    factors = {name: trial.suggest_categorical(name, list(values)) for name, values in space.factors.items()}
    for name, of_name in space.hyperparameters.items():
        factors[name] = searched.turned(name, _suggest(trial, searched.parameter(name), searched.bounds(name, of_name)))
    return Setting(
        cell=cell, strategy=strategy, threshold=threshold, learning_rate=learning_rate, factors=in_order(factors)
    )


def grid(spec: StudySpec) -> list[Setting]:
    """Every setting of a space without ranges."""
    space, found = spec.space, []
    for cell, strategy in product(space.cells, space.strategies):
        axis = space.threshold_axis(strategy)
        thresholds = (None,) if axis is None else _values(axis)
        for threshold, rate, factors in product(thresholds, _values(space.learning_rate), combinations(space.factors)):
            found.append(
                Setting(cell=cell, strategy=strategy, threshold=threshold, learning_rate=rate, factors=factors)
            )
    return found


def _values(axis: Range | ValueList) -> tuple[float, ...]:
    values = listed(axis)
    assert values is not None, "a grid has no ranges"
    return values


def _distribution(axis: Range | ValueList) -> BaseDistribution:
    """ValueList are choices: Optuna's floats have a step, or none."""
    values = listed(axis)
    return FloatDistribution(*ends(axis), log=True) if values is None else CategoricalDistribution(values)


def _suggest(trial: Suggesting, name: str, axis: Range | ValueList) -> float:
    values = listed(axis)
    if values is None:
        return trial.suggest_float(name, *ends(axis), log=True)
    return float(trial.suggest_categorical(name, list(values)))
