"""An axis of the space: a range that is searched, or the values that are tried."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from gradstudy.storage.bins import half_decade, half_decade_starts

LARGEST = 3e38
"""The end of every range: trials compute with float32."""
MOST_VALUES = 1000

Range = tuple[float, float]
"""A range that is searched on a logarithmic axis: (low, high) with 0 < low < high."""


@dataclass(frozen=True)
class ValueList:
    """The values that are tried, rising; one alone is held."""

    values: tuple[float, ...]


def read_axis(given: Any) -> Range | ValueList:
    """An axis from what a spec says: ``[low, high]``, one number, or ``{values = [a, b, c]}``."""
    try:
        match given:
            case ValueList():
                return _checked(given.values)
            case bool():
                pass
            case {"values": [*values]} if len(given) == 1:
                return _checked(tuple(float(value) for value in values))
            case [low, high]:
                return _rising(float(low), float(high))
            case int() | float() | str():
                return _checked((float(given),))
    except (TypeError, OverflowError):
        pass
    except ValueError as error:
        if not str(error).startswith("could not convert"):
            raise
    raise ValueError(f"must be [LOW, HIGH], one number or {{values = [A, B, C]}}, but got {given!r}")


def _rising(low: float, high: float) -> Range:
    if not 0 < low < high <= LARGEST:
        raise ValueError(
            f"must rise from a positive number to a larger one, at most {LARGEST:g}, but got {low:g}:{high:g}"
        )
    return low, high


def _checked(values: tuple[float, ...]) -> ValueList:
    if (
        not 0 < len(values) <= MOST_VALUES
        or len(set(values)) < len(values)
        or not all(0 < value <= LARGEST for value in values)
    ):
        shown = ",".join(f"{value:g}" for value in values[:10]) or "none"
        raise ValueError(
            f"must have 1 to {MOST_VALUES:,} different positive values, at most {LARGEST:g}, but got {shown}"
        )
    return ValueList(tuple(sorted(values)))


def _stored(axis: Range | ValueList) -> list[float] | dict[str, list[float]]:
    return {"values": list(axis.values)} if isinstance(axis, ValueList) else list(axis)


Axis = Annotated[
    Range | ValueList,
    PlainValidator(read_axis),
    PlainSerializer(_stored),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "prefixItems": [{"type": "number"}, {"type": "number"}]},
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "object", "properties": {"values": {"type": "array", "items": {"type": "number"}}}},
            ]
        }
    ),
]
"""A range, or values."""


def listed(axis: Range | ValueList) -> tuple[float, ...] | None:
    """The values of an axis; None for a range."""
    return axis.values if isinstance(axis, ValueList) else None


def ends(axis: Range | ValueList) -> Range:
    """The lowest and the highest number of an axis; the same where one value is held."""
    return (axis.values[0], axis.values[-1]) if isinstance(axis, ValueList) else axis


def held(axis: Range | ValueList) -> float | None:
    """The one value of an axis; None where there are several."""
    low, high = ends(axis)
    return low if low == high else None


def half_decades(axis: Range | ValueList) -> list[float]:
    """Where the report's bins begin that an axis has settings in, in decades, rising."""
    values = listed(axis)
    if values is None:
        return half_decade_starts(*ends(axis))
    starts = {half_decade(value) for value in values}
    return sorted(round(2 * math.log10(start)) / 2 for start in starts if start is not None)


def described(axis: Range | ValueList) -> str:
    """An axis in words: ``0.01 to 100``, ``0.5``, ``0.25, 1, 5``."""
    if isinstance(axis, ValueList):
        return ", ".join(f"{value:g}" for value in axis.values)
    return f"{axis[0]:g} to {axis[1]:g}"
