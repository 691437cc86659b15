"""A space whose every axis has values has a grid: all their combinations."""

from math import prod

from gradstudy.study.spec.axis import described, listed
from gradstudy.study.spec.parts import SearchSpace


def grid_size(space: SearchSpace) -> int | None:
    """How many settings a space has; None where it has a range."""
    if ranges(space):
        return None
    rates = len(listed(space.learning_rate) or ())
    thresholds = 0
    for strategy in space.strategies:
        axis = space.threshold_axis(strategy)
        thresholds += 1 if axis is None else len(listed(axis) or ())
    return len(space.cells) * rates * thresholds * prod(len(values) for values in space.factors.values())


def ranges(space: SearchSpace) -> list[str]:
    """What of a space are ranges, in words, with how it would be given as values."""
    found = []
    if listed(space.learning_rate) is None:
        found.append(f"the learning rate is searched from {described(space.learning_rate)} (values: --lr 0.1,1,10)")
    of_strategies = {strategy: space.threshold_axis(strategy) for strategy in space.strategies}
    searched = [strategy for strategy, axis in of_strategies.items() if axis is not None and listed(axis) is None]
    if searched:
        low, high = space.threshold_range(searched[0]) or (0.0, 0.0)
        found.append(
            f"ranges of thresholds are searched for {', '.join(searched)} (points: --threshold "
            f"{searched[0]}={low:g}:{high:g}:5)"
        )
    found += [f"{name} is searched from {low:g} to {high:g}" for name, (low, high) in space.hyperparameters.items()]
    return found
