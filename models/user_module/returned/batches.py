"""Batches of training as they come, from whatever gives them."""

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any


def endless(batches: Iterable[Any] | Callable[[int], Any]) -> Iterator[Any]:
    """One batch after the other, epoch after epoch; raises ValueError where they end."""
    if callable(batches):
        yield from map(batches, count())
        return
    given = 0
    for epoch in count():
        before = given
        for batch in batches:
            given += 1
            yield batch
        if given == before:
            what = "there are none" if epoch == 0 else f"they ended after {given} and cannot be iterated over again"
            raise ValueError(f"batches must not end, but {what}: return a list, a DataLoader or a function of the step")
