"""The other parameters of a plain Optuna study: those that runs are compared within, and those on a range."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial

from gradstudy.study.spec.factors import NONE, FactorValue

RUNS_OF_A_GROUP = 8
"""Runs of each choice of factors that a study must have on average for these to be kept apart."""


@dataclass(frozen=True, kw_only=True)
class FurtherParameters:
    """The parameters beside learning rate, threshold, strategy and cell.

    Attributes:
        factors: choices that runs are compared within.
        ranges: numbers, of which each setting may have another one.
        left_out: choices that have too few runs each to be kept apart, and are no numbers.
    """

    factors: tuple[str, ...]
    ranges: tuple[str, ...]
    left_out: tuple[str, ...]

    def of(self, params: Mapping[str, Any]) -> tuple[dict[str, FactorValue], dict[str, float]]:
        """The factors of a trial, and what it has of the ranges."""
        factors = {name: _plain(params[name]) for name in self.factors if name in params}
        return factors, {name: float(params[name]) for name in self.ranges if name in params}


def sort_further(trials: Sequence[FrozenTrial], used: Iterable[str]) -> FurtherParameters:
    """Sort what trials have beside the parameters that are used otherwise.

    Where every choice of the factors would have few runs, those with the most values are no factors: numbers are taken
    for a range, others are left out.

    Args:
        trials: that are reported.
        used: names of parameters that have a role.
    """
    values: dict[str, list[Any]] = {}
    kinds = {}
    for trial in trials:
        for name in trial.params:
            values.setdefault(name, []).append(_plain(trial.params[name]))
            kinds[name] = trial.distributions[name]
    varied = [name for name in values if name not in set(used) and len(set(values[name])) > 1]
    factors = [name for name in varied if isinstance(kinds[name], CategoricalDistribution)]
    factors.sort(key=lambda name: len(set(values[name])))
    ranges = [name for name in varied if name not in factors]
    left_out: list[str] = []
    while factors and _groups(trials, factors) * RUNS_OF_A_GROUP > len(trials):
        widest = factors.pop()
        (ranges if all(_is_number(value) for value in values[widest]) else left_out).append(widest)
    return FurtherParameters(
        factors=tuple(sorted(factors)), ranges=tuple(sorted(ranges)), left_out=tuple(sorted(left_out))
    )


def _groups(trials: Sequence[FrozenTrial], factors: Sequence[str]) -> int:
    return len({tuple(str(trial.params.get(name)) for name in factors) for trial in trials})


def _plain(value: Any) -> FactorValue:
    if value is None:
        return NONE
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
