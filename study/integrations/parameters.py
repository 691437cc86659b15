"""Which parameters of a plain Optuna study are its learning rate, its threshold, its strategy and its cell."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial

from gradstudy.models.strategies import STRATEGIES
from gradstudy.study.errors import UnreadableStudyError
from gradstudy.study.search.axes import LEARNING_RATE_NAMES
from gradstudy.study.search.space import THRESHOLD_PREFIX
from gradstudy.study.spec.plain import UNKNOWN_CELL, UNKNOWN_STRATEGY

STRATEGY_NAMES = frozenset(
    {
        *("strategy", "clipping", "clipping_strategy", "clipping_type", "clip_strategy", "clip_type", "clip_mode"),
        *("clip_algorithm", "gradient_clip_algorithm", "grad_clip_algorithm"),
    }
)
CELL_NAMES = frozenset({"cell", "cell_type", "rnn", "rnn_type", "rnn_cell"})
RULE_OF = {
    **dict.fromkeys(("max_norm", "clip_norm", "grad_clip_norm", "max_grad_norm", "gradient_clip_val"), "norm"),
    **dict.fromkeys(("clip_value", "grad_clip_value"), "value"),
    **dict.fromkeys(("clip", "grad_clip", "gradient_clip", "clipping_threshold", "threshold"), UNKNOWN_STRATEGY),
}
"""The usual names of a threshold, and the strategy that they speak of where no parameter names it. Lightning's
``gradient_clip_val`` is a norm unless another algorithm is asked for."""
NO_CLIPPING = frozenset({"none", "off", "no", "false", "", "0", "0.0"})
NO_RATES = ("decay", "reg", "l1", "l2", "eps", "drop", "momentum", "beta", "weight")
"""Words in the names of other parameters that are searched on a logarithmic axis."""


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The parameters of a study by what they are.

    Attributes:
        roles: the names of those that are learning rate, threshold, strategy and cell.
        rates_in_decades: whether the learning rate is searched as its logarithm to the base 10.
    """

    roles: Mapping[str, tuple[str, ...]]
    rates_in_decades: bool

    def learning_rate(self, params: Mapping[str, Any]) -> float | None:
        """Of a trial; None where it has none that is a positive number."""
        value = _number(_first(params, self.roles["learning_rate"]))
        if value is None or not self.rates_in_decades:
            return value if value is not None and value > 0 else None
        return float(10**value)

    def clipping(self, params: Mapping[str, Any]) -> tuple[str, float | None]:
        """The strategy of a trial and its threshold, None where there is none."""
        named = _first(params, self.roles["strategy"])
        name = next((each for each in self.roles["threshold"] if each in params), None)
        threshold = None if name is None else _number(params[name])
        if named is None and not self.roles["strategy"]:
            known = RULE_OF.get(plain_name(name or ""), UNKNOWN_STRATEGY)
            strategy = "none" if name is not None and not threshold else known
        else:
            strategy = str(named).lower()
            strategy = "none" if named in (None, False) or strategy in NO_CLIPPING else strategy
        has_none = strategy == "none" or (strategy in STRATEGIES and STRATEGIES[strategy].unit is None)
        return strategy, None if has_none or not threshold or threshold < 0 else threshold

    def cell(self, params: Mapping[str, Any]) -> str:
        """Of a trial."""
        return str(_first(params, self.roles["cell"]) or UNKNOWN_CELL).lower()

    @property
    def used(self) -> frozenset[str]:
        """Names of the parameters that have a role."""
        return frozenset(name for names in self.roles.values() for name in names)


def find_parameters(trials: Sequence[FrozenTrial], axes: Mapping[str, str], study: str) -> Parameters:
    """Tell the parameters apart by what a person says, their names, and their distributions.

    Args:
        trials: of the study.
        axes: see ``Reading.axes``.
        study: its name.

    Raises:
        UnreadableStudyError: which one is the learning rate cannot be told, or a name that was given is of none.
    """
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    given = {role: _given(role, axes[role], names, study) for role in axes}
    roles = {
        "learning_rate": given.get("learning_rate") or _learning_rate(trials, names, study),
        "threshold": given.get("threshold") or _thresholds(names),
        "strategy": given.get("strategy") or _named(names, STRATEGY_NAMES),
        "cell": given.get("cell") or _named(names, CELL_NAMES),
    }
    values = [_number(_first(trial.params, roles["learning_rate"])) for trial in trials]
    return Parameters(roles=roles, rates_in_decades=any(value < 0 for value in values if value is not None))


def plain_name(name: str) -> str:
    """A name in lower case with underscores, without what Python programs put before it to say whose it is."""
    return name.lower().replace("-", "_").replace(".", "_").replace(" ", "_")


def _given(role: str, said: str, names: Sequence[str], study: str) -> tuple[str, ...]:
    found = tuple(name.strip() for name in said.split(","))
    for name in found:
        if name not in names:
            raise UnreadableStudyError(f"study {study!r} has no parameter {name!r} for {role}; it has {_listed(names)}")
    return found


def _learning_rate(trials: Sequence[FrozenTrial], names: Sequence[str], study: str) -> tuple[str, ...]:
    exact = [name for name in names if plain_name(name) in LEARNING_RATE_NAMES]
    ending = [name for name in names if plain_name(name).endswith(tuple(f"_{each}" for each in LEARNING_RATE_NAMES))]
    by_name = exact or ending
    if by_name and all(sum(name in trial.params for name in by_name) <= 1 for trial in trials):
        return tuple(by_name)
    common = by_name or list(_logarithmic(trials, names))
    if len(common) == 1:
        return (common[0],)
    if common:
        why = f"several parameters of study {study!r} may be the learning rate: {', '.join(common)}"
    else:
        why = f"no parameter of study {study!r} looks like a learning rate; it has {_listed(names)}"
    raise UnreadableStudyError(f"{why}; say which one is: --axis learning_rate=NAME")


def _logarithmic(trials: Sequence[FrozenTrial], names: Sequence[str]) -> Iterator[str]:
    """Those on a logarithmic axis that every trial has and that may be a learning rate by their names."""
    for name in names:
        found = [trial.distributions.get(name) for trial in trials if trial.params]
        if all(isinstance(each, FloatDistribution) and each.log for each in found) and not any(
            word in plain_name(name) for word in NO_RATES
        ):
            yield name


def _thresholds(names: Sequence[str]) -> tuple[str, ...]:
    of_strategies = [name for name in names if name.removeprefix(THRESHOLD_PREFIX) in STRATEGIES]
    return tuple(of_strategies) or _named(names, RULE_OF)


def _named(names: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if plain_name(name) in set(known))


def _first(params: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((params[name] for name in names if name in params), None)


def _number(value: Any) -> float | None:
    """A finite number, also as text; None for what is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
