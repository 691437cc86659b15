"""What another study's frontiers say of those of this one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gradstudy.study.frontier.prior import Readings
from gradstudy.study.spec.factors import FactorValue
from gradstudy.study.spec.parts import FoundFrontier, Like


@dataclass(frozen=True)
class Named:
    """A target by its names.

    Attributes:
        cell: the cell.
        strategy: the strategy.
        half: the half-decade of its threshold, counted from a threshold of 1; None where it has none.
        factors: what is varied, by name.
    """

    cell: str
    strategy: str
    half: int | None
    factors: Mapping[str, FactorValue] = field(default_factory=dict)


def half_of(threshold_bin: float | None) -> int | None:
    """The half-decade that begins at a threshold."""
    return None if threshold_bin is None or math.isnan(threshold_bin) else round(2 * math.log10(threshold_bin))


def readings(like: Like, targets: Sequence[Named], middle: float) -> Readings:
    """What another study says of targets, whatever their names.

    What it varied and this one does not is averaged over; of what this one varies and it did not, each value has the
    same; of values that it did not try nothing is known.

    Args:
        like: what it found.
        targets: of this study.
        middle: of its learning rates, in decades.
    """
    by_place: dict[tuple[str, str, int | None], list[FoundFrontier]] = {}
    for found in like.frontiers:
        by_place.setdefault((found.cell, found.strategy, half_of(found.threshold_bin)), []).append(found)
    crossing, sd = np.full((2, len(targets)), np.nan)
    for place, target in enumerate(targets):
        there = by_place.get((target.cell, target.strategy, target.half), [])
        alike = [each for each in there if _agree(each.factors, target.factors)]
        if alike:
            decades = np.log10([each.learning_rate for each in alike])
            crossing[place] = decades.mean() - middle
            sd[place] = math.sqrt(np.mean([each.decades**2 for each in alike]) + decades.var())
    return Readings(crossing, sd, like.slope, like.rise)


def _agree(found: Mapping[str, FactorValue], asked: Mapping[str, FactorValue]) -> bool:
    return all(asked[name] == value for name, value in found.items() if name in asked)
