"""What one record of a log says: numbers by name."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

STEP = "step"
"""What readers call the step where the form itself has one."""
NOT_FINITE = {
    **dict.fromkeys(("nan", "+nan", "-nan", "#num!"), math.nan),
    **dict.fromkeys(("inf", "+inf", "infinity", "+infinity"), math.inf),
    **dict.fromkeys(("-inf", "-infinity"), -math.inf),
}


class Entry(NamedTuple):
    """One record.

    Attributes:
        run: whose record it is, where one file holds several; otherwise empty.
        values: numbers by the name of their column; what is missing is not there, NaN is a number.
    """

    run: str
    values: Mapping[str, float]


Wanted = Collection[str] | None
"""The columns that a reader is asked for; None for all."""


@dataclass(frozen=True)
class Log:
    """A log that can be read as often as wanted.

    Attributes:
        name: what the person gave, or where it was found.
        form: what it is, in words.
        read: gives its entries in their order, with the wanted columns.
    """

    name: str
    form: str
    read: Callable[[Wanted], Iterator[Entry]]


def number(given: Any) -> float | None:
    """A number as logs write it; None for what is none."""
    if isinstance(given, str):
        try:
            return float(given)
        except ValueError:
            return NOT_FINITE.get(given.strip().casefold())
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return float(given)
    return None


def numbers(record: Mapping[str, Any], wanted: Wanted = None, prefix: str = "") -> dict[str, float]:
    """The numbers of a JSON object; those of objects within it are named ``outer/inner``."""
    found: dict[str, float] = {}
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found.update(numbers(value, wanted, f"{name}/"))
        elif (wanted is None or name in wanted) and (read := number(value)) is not None:
            found[name] = read
    return found
