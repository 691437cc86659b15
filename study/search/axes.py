"""The axes of anybody's Optuna study, found in the distributions of its trials.

One logarithmic axis is the learning rate. Categorical parameters that every trial has are factors; together they name a
group. Further logarithmic axes, such as a threshold for each strategy, belong to the groups whose trials carry them.
Learning rates and thresholds of which a study tries certain values only are on such axes, too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial

from gradstudy.storage.bins import half_decade, half_decade_starts
from gradstudy.study.search.space import THRESHOLD_PREFIX

Group = tuple[Any, ...]
"""The value of each factor."""

LEARNING_RATE_NAMES = ("learning_rate", "lr")
ROUNDING = 1e-6
"""Decades by which a bin is wider than the values in it."""


@dataclass(frozen=True)
class SearchAxes:
    """The axes of a study.

    Attributes:
        learning_rate: the parameter's name.
        factors: names of the categorical parameters that every trial has.
        others: names of the further logarithmic parameters.
        distributions: of all these.
        carried: the names among ``others`` that the trials of a group have; of a group that no trial had yet, those
            that go with the value of the factor that decides about them, such as a strategy about its threshold.
    """

    learning_rate: str
    factors: tuple[str, ...]
    others: tuple[str, ...]
    distributions: dict[str, BaseDistribution]
    carried: dict[Group, tuple[str, ...]]

    def bounds(self, name: str) -> tuple[float, float]:
        """The ends of a logarithmic axis, in decades."""
        low, high = _ends(self.distributions[name])
        return float(np.log10(low)), float(np.log10(high))

    def bins(self, name: str) -> list[tuple[float, float]]:
        """The report's bins of an axis, in decades: cut at the ends of its range, or those that have values."""
        low, high = self.bounds(name)
        starts = half_decade_starts(10**low, 10**high)
        distribution = self.distributions[name]
        if isinstance(distribution, FloatDistribution):
            return [(max(start, low), min(start + 0.5, high)) for start in starts]
        of_start: dict[float, list[float]] = {}
        for value in sorted(map(float, self._choices(name))):
            of_start.setdefault(float(half_decade(value) or 0), []).append(float(np.log10(value)))
        return [(values[0] - ROUNDING, values[-1] + ROUNDING) for values in of_start.values()]

    def group(self, trial: FrozenTrial) -> Group:
        """The group of a trial."""
        return tuple(trial.params[name] for name in self.factors)

    def codes(self, groups: Sequence[Group]) -> NDArray[np.int64]:
        """Each factor's value as the place among its choices, [groups, factors]."""
        choices = [self._choices(name) for name in self.factors]
        codes = [[options.index(value) for options, value in zip(choices, group, strict=True)] for group in groups]
        return np.array(codes, np.int64).reshape(len(groups), len(self.factors))

    def is_complete(self, trial: FrozenTrial) -> bool:
        """Whether a trial is of one of the groups and has a learning rate and what trials of its group have besides."""
        if not all(name in trial.params for name in (self.learning_rate, *self.factors)):
            return False
        carried = self.carried.get(self.group(trial))
        return carried is not None and all(name in trial.params for name in carried)

    def restricted(self, groups: Sequence[Group]) -> "SearchAxes":
        """The same with these groups only."""
        return replace(self, carried={group: self.carried[group] for group in groups})

    def blocks(self, sizes: Mapping[Group, int], most: int) -> list[list[Group]]:
        """The groups in parts of at most ``most`` by their sizes, each of common values of some factors.

        Factors with few values are split first, so that what has many, such as strategies, is compared within a part.
        """
        by_choices = sorted(range(len(self.factors)), key=lambda place: len(self._choices(self.factors[place])))
        parts = [list(self.carried)]
        for place in by_choices:
            if all(sum(sizes[group] for group in part) <= most for part in parts):
                break
            values = self._choices(self.factors[place])
            parts = [[group for group in part if group[place] == value] for part in parts for value in values]
        return parts

    def parameters(self, group: Group, decades: dict[str, float]) -> dict[str, Any]:
        """The parameters of a point of a group, inside of their ranges."""
        values = dict(zip(self.factors, group, strict=True))
        for name, decade in decades.items():
            low, high = _ends(self.distributions[name])
            values[name] = min(max(10.0**decade, low), high)
            if isinstance(self.distributions[name], CategoricalDistribution):
                values[name] = min(self._choices(name), key=lambda choice: abs(np.log10(choice) - decade))
        return values

    def choices(self, name: str) -> int:
        """How many values a factor has."""
        return len(self._choices(name))

    def _choices(self, name: str) -> list[Any]:
        distribution = self.distributions[name]
        assert isinstance(distribution, CategoricalDistribution)
        return list(distribution.choices)


def find_axes(trials: Sequence[FrozenTrial], learning_rate: str | None = None) -> SearchAxes | None:
    """The axes that the trials show; None as long as none of them has a learning rate.

    Args:
        trials: of one study; those that have not ended do not count, because they may lack parameters yet.
        learning_rate: the parameter's name; where not given it is ``learning_rate`` or ``lr``, else the only
            logarithmic parameter that every trial has.

    Raises:
        ValueError: several parameters might be the learning rate, or the one named is not logarithmic.
    """
    trials = [trial for trial in trials if trial.state.is_finished()]
    distributions: dict[str, BaseDistribution] = {}
    for trial in trials:
        distributions.update(trial.distributions)
    logarithmic = [name for name, found in distributions.items() if _is_logarithmic(name, found)]
    rate = learning_rate or _learning_rate(trials, logarithmic)
    if rate is None or rate not in distributions:
        return None
    if rate not in logarithmic:
        raise ValueError(f"the learning rate must be a float on a logarithmic axis, but {rate!r} is not")
    whole = [trial.params for trial in trials if rate in trial.params]
    factors = tuple(
        sorted(
            name
            for name, found in distributions.items()
            if isinstance(found, CategoricalDistribution)
            and name not in logarithmic
            and all(name in params for params in whole)
        )
    )
    others = tuple(sorted(name for name in logarithmic if name != rate))
    shapes = {
        (tuple(params[name] for name in factors), tuple(name for name in others if name in params)) for params in whole
    }
    used = {name: distributions[name] for name in (rate, *factors, *others)}
    return SearchAxes(rate, factors, others, used, _carried(shapes, factors, others, used))


def _is_logarithmic(name: str, found: BaseDistribution) -> bool:
    """Whether a parameter is on a logarithmic axis; of values by its name."""
    if isinstance(found, FloatDistribution):
        return found.log
    return (
        isinstance(found, CategoricalDistribution)
        and (name in LEARNING_RATE_NAMES or name.startswith(THRESHOLD_PREFIX))
        and all(isinstance(choice, float) and choice > 0 for choice in found.choices)
    )


def _ends(distribution: BaseDistribution) -> tuple[float, float]:
    if isinstance(distribution, CategoricalDistribution):
        choices = [float(str(choice)) for choice in distribution.choices]
        return min(choices), max(choices)
    assert isinstance(distribution, FloatDistribution)
    return distribution.low, distribution.high


def _learning_rate(trials: Iterable[FrozenTrial], logarithmic: Sequence[str]) -> str | None:
    for name in LEARNING_RATE_NAMES:
        if name in logarithmic:
            return name
    common = [name for name in logarithmic if all(name in trial.params for trial in trials)]
    if len(common) > 1:
        raise ValueError(f"say which parameter is the learning rate: {', '.join(common)} are all on logarithmic axes")
    return common[0] if common else None


def _carried(
    shapes: Iterable[tuple[Group, tuple[str, ...]]],
    factors: tuple[str, ...],
    others: tuple[str, ...],
    distributions: dict[str, BaseDistribution],
) -> dict[Group, tuple[str, ...]]:
    """The other axes of every combination of the factors; ``shapes`` are the combinations seen, with theirs."""
    shapes = list(shapes)
    exact: dict[Group, set[str]] = {}
    for group, carried in shapes:
        exact.setdefault(group, set()).update(carried)
    deciding = {name: _deciding(name, shapes, len(factors)) for name in others}
    choices = []
    for name in factors:
        distribution = distributions[name]
        assert isinstance(distribution, CategoricalDistribution)
        choices.append(distribution.choices)
    return {
        group: tuple(
            name
            for name in others
            if (name in exact[group] if group in exact else _is_guessed(name, group, shapes, deciding[name]))
        )
        for group in product(*choices)
    }


def _deciding(name: str, shapes: Sequence[tuple[Group, tuple[str, ...]]], factors: int) -> int | None:
    """The factor whose value alone tells whether a group has an axis; of several the one with most values seen."""
    found = []
    for factor in range(factors):
        having = {group[factor] for group, carried in shapes if name in carried}
        lacking = {group[factor] for group, carried in shapes if name not in carried}
        if not having & lacking:
            found.append((len(having | lacking), -factor))
    return -max(found)[1] if found else None


def _is_guessed(name: str, group: Group, shapes: Sequence[tuple[Group, tuple[str, ...]]], factor: int | None) -> bool:
    """Whether a group that no trial had has an axis, by the factor that decides about it."""
    return factor is not None and any(name in carried and seen[factor] == group[factor] for seen, carried in shapes)
