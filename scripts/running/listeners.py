"""Who is told what a worker does, where trials are not counted one by one."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradstudy.storage.results import TrialResult


class OnlyWaiting:
    """Hears only that the database is waited for."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Have ``say`` told of it."""
        self._say = say

    def started(self, ordinal: int) -> None:
        """See Listener."""

    def finished(self, ordinal: int, result: "TrialResult") -> None:
        """See Listener."""

    def waiting(self, message: str) -> None:
        """See Listener."""
        self._say(message)
