"""An experiment of the literature as a study: what it searches, and what is expected of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gradstudy.study.literature.expectations import Expectation, Group

AT_ONE = (0.99, 1.01)
"""As good as 1. From when an axis had to have two ends: with the value 1 the presets would be other studies."""

UNCLIPPED = Group(name="without clipping", strategies=("none",))
BY_NORM = Group(name="clipped by norm", strategies=("norm",))
CLIPPING_HELPS = Expectation(
    literature="runs without clipping to diverge more often than those that are clipped by norm",
    first=UNCLIPPED,
    second=BY_NORM,
)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named study.

    Attributes:
        description: one line.
        source: where the experiment is from.
        spec: the values that its spec is made of, but for the name.
        expectations: what its trials are to show.
    """

    description: str
    source: str
    spec: Mapping[str, Any]
    expectations: tuple[Expectation, ...]


def sizes(*, hidden_size: int, batch_size: int, steps: int, trials: int) -> dict[str, Any]:
    """The fields of a spec that say how much is trained."""
    return {"model": {"hidden_size": hidden_size}, "batch_size": batch_size, "steps": steps, "trials": trials}
