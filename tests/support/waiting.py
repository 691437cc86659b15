"""Waiting for what another process does: as long as it takes on a machine that is busy, but not for ever."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 300.0
"""Only a test that fails waits so long."""


def until(
    holds: Callable[[], object], *, or_ends: Callable[[], object] = lambda: None, within: float = PATIENCE_SECONDS
) -> None:
    """Wait until something holds.

    Args:
        holds: whether it does.
        or_ends: gives something else than None once what is waited for cannot happen any more, such as the exit code
            of the process that should do it.
        within: seconds after which a test fails.
    """
    end = time.monotonic() + within
    while not holds():
        ended = or_ends()
        assert ended is None, f"it ended before ({ended})"
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
