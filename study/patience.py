"""Waiting for a database that does not answer."""

import threading
from collections.abc import Callable
from typing import TypeVar

import tenacity
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError

from gradstudy.storage.errors import UnavailableError
from gradstudy.storage.optuna_proxy import unanswered_by_proxy
from gradstudy.storage.user_info import without_user_info

T = TypeVar("T")

LONGEST_WAIT_SECONDS = 15.0
UNANSWERED: tuple[type[Exception], ...] = (
    UnavailableError,
    OperationalError,
    InterfaceError,
    InternalError,  # also the end of a transaction in whose middle the process was paused
    StorageInternalError,
    *unanswered_by_proxy(),
)
"""What a database that is stopped, locked or full raises, through gradstudy and through Optuna."""


class Patience:
    """Repeats what the database did not answer, with growing and random waits, until it does or work is stopped."""

    def __init__(self, stop: threading.Event, announce: Callable[[str], None]) -> None:
        """Give up once ``stop`` is set; ``announce`` is told of every wait."""
        self._announce = announce
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(UNANSWERED),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT_SECONDS),
            stop=tenacity.stop_when_event_set(stop),
            sleep=tenacity.sleep_using_event(stop),
            before_sleep=self._say,
            reraise=True,
        )

    def __call__(self, do: Callable[[], T]) -> T:
        """The result of ``do``, which may be called several times.

        Raises:
            UnavailableError: or another of ``UNANSWERED``, when the work was stopped meanwhile.
        """
        return self._retrying(do)

    def _say(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        while error is not None and error.__cause__ is not None and not isinstance(error, UnavailableError):
            error = error.__cause__  # what the driver said
        reason = without_user_info(" ".join(str(error).split()))
        seconds = state.next_action.sleep if state.next_action else 0.0
        self._announce(f"the database does not answer ({reason}); trying again in {seconds:.0f} s")
