"""How many steps of each trial a study keeps."""

from math import ceil
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

ALL: Literal["all"] = "all"
NONE: Literal["none"] = "none"


def _read(given: Any) -> Any:
    """From a command line every value is text."""
    return int(given) if isinstance(given, str) and given.isdecimal() else given


KeptSteps = Annotated[Literal["all", "none"] | Annotated[int, Field(ge=2, le=10_000_000)], BeforeValidator(_read)]


def kept_every(keep: KeptSteps, steps: int) -> int:
    """Of how many steps one is kept, so that of all so many are left; 1 where none is kept for being one of them.

    Args:
        keep: of the spec.
        steps: of the longest trial.
    """
    return ceil(steps / keep) if isinstance(keep, int) else 1
