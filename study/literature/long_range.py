"""Tasks of long time lags, and how many runs solve them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gradstudy.study.literature.expectations import Expectation, Group
from gradstudy.study.literature.preset import AT_ONE, BY_NORM, UNCLIPPED, Preset, sizes

TEMPORAL_ORDER_CELLS = ["lstm"]
"""Pascanu has tanh units."""
WORTH_SEEING = 0.25
"""Runs of these tasks are long."""


def _clipping_helps(solved_below: float) -> Expectation:
    return Expectation(
        literature="clipping to help runs to solve the task",
        first=BY_NORM,
        second=UNCLIPPED,
        solved_below=solved_below,
        by="length",
        worth_seeing=WORTH_SEEING,
    )


def _length_hinders(short: int, long: int, solved_below: float) -> Expectation:
    strategies = ("none", "norm")
    return Expectation(
        literature=f"fewer runs to solve the task at length {long} than at length {short}",
        first=Group(name=f"at length {short}", strategies=strategies, factors={"length": short}),
        second=Group(name=f"at length {long}", strategies=strategies, factors={"length": long}),
        solved_below=solved_below,
        worth_seeing=WORTH_SEEING,
    )


def _space(low: float, high: float, *lengths: int) -> dict[str, Any]:
    return {
        "strategies": ["none", "norm"],
        "learning_rate": [low, high],
        "thresholds": {"norm": AT_ONE},
        "factors": {"length": list(lengths)},
    }


LONG_RANGE: Mapping[str, Preset] = MappingProxyType(
    {
        "temporal_order": Preset(
            description="how many runs solve temporal order with SGD, with and without clipping, by length",
            source="Pascanu, Mikolov and Bengio 2013, arXiv 1211.5063, section 4.1, there with tanh units",
            spec={
                "task": "temporal_order",
                **sizes(hidden_size=50, batch_size=20, steps=1000, trials=132),
                "space": {"cells": TEMPORAL_ORDER_CELLS, **_space(0.1, 30.0, 10, 30)},
            },
            expectations=(_clipping_helps(0.0069), _length_hinders(10, 30, 0.0069)),
        ),
        "adding": Preset(
            description="how many runs solve adding with Adam, with and without clipping, by length",
            source="Pascanu, Mikolov and Bengio 2013, arXiv 1211.5063, section 4.1, there with tanh units and SGD",
            spec={
                "task": "adding",
                "optimizer": "adam",
                **sizes(hidden_size=32, batch_size=20, steps=1200, trials=132),
                "space": _space(1e-3, 1.0, 10, 30),
            },
            expectations=(_clipping_helps(0.01), _length_hinders(10, 30, 0.01)),
        ),
    }
)
"""Every preset of this kind by name."""
