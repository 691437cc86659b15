"""Who is told what a worker does, where trials are not counted one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradstudy.storage.results import TrialResult


@dataclass(frozen=True)
class OnlyWaiting:
    """Hears only that the database is waited for.

    Attributes:
        waiting: is told so; see Listener.
    """

    waiting: Callable[[str], None]

    def started(self, ordinal: int) -> None:
        """See Listener."""

    def finished(self, ordinal: int, result: "TrialResult") -> None:
        """See Listener."""
