"""The catalogue of clipping strategies: rule, threshold and the PyTorch to paste. Does not import torch."""

from gradstudy.models.strategies.by_default import BY_DEFAULT
from gradstudy.models.strategies.inside_backward import INSIDE_BACKWARD
from gradstudy.models.strategies.strategy import Strategy, StrategyError
from gradstudy.models.strategies.when_named import WHEN_NAMED

__all__ = [
    "SEARCHED_BY_DEFAULT",
    "STRATEGIES",
    "Strategy",
    "StrategyError",
    "code_length",
    "find_after_backward",
    "find_strategy",
]

STRATEGIES: dict[str, Strategy] = {strategy.name: strategy for strategy in (*BY_DEFAULT, *WHEN_NAMED, *INSIDE_BACKWARD)}
"""Every strategy by name. The thresholds have different units: never search them on one axis."""

SEARCHED_BY_DEFAULT = tuple(strategy.name for strategy in BY_DEFAULT)
"""The strategies of a study that names none. More of them would spread its trials too thin."""


def find_strategy(name: str) -> Strategy:
    """The strategy of that name; raises StrategyError, which lists the names, if there is none."""
    if name not in STRATEGIES:
        raise StrategyError(f"there is no strategy '{name}': choose from {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def find_after_backward(name: str) -> Strategy:
    """The strategy of that name, which clips gradients after the backward pass.

    Raises:
        StrategyError: there is no such strategy, or it acts inside the backward pass.
    """
    strategy = find_strategy(name)
    if strategy.inside:
        raise StrategyError(
            f"strategy {name!r} clips inside the backward pass, so nothing can be done after it: put the code of "
            f"STRATEGIES[{name!r}].pytorch(threshold) before your training loop"
        )
    return strategy


def code_length(name: str) -> int:
    """How long the code of a strategy is, in characters: of two that are as good, the shorter one is pasted."""
    strategy = STRATEGIES[name]
    return len(strategy.setup) + len(strategy.step)
