"""How a trial can end."""

from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of a trial; its value is what the database holds.

    ``FAILED`` is the machine's fault (an exception, a lost worker), the others are results.
    """

    TRAINED = "trained"
    STALLED = "stalled"
    DIVERGED = "diverged"
    PRUNED = "pruned"
    FAILED = "failed"
