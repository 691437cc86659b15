"""When the states of trials are kept, so that those who are lost with their worker lose little."""

import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from gradstudy.study.training.arrays import Slots
from gradstudy.study.worker.bookkeeping import Begun, Bookkeeping

SECONDS_BETWEEN = 60.0
"""Of training: what a trial loses at most when its worker is lost."""
SECONDS_AFTER_A_LOSS = 10.0
"""The same of a trial that has been begun before: workers come and go where it is."""
WORTH_KEEPING = 5.0
"""Seconds of training; of a worker that is told to stop, a trial that has trained longer is kept."""


class Checkpointing:
    """The checkpoints of one worker's trials."""

    def __init__(self) -> None:
        self._kept: dict[int, float] = {}
        self._writing: deque[Future[bool]] = deque()

    def begin(self, key: Begun) -> None:
        """A trial is trained from now on."""
        self._kept[key.claim.id] = time.monotonic()

    def end(self, key: Begun) -> None:
        """It is not any more."""
        self._kept.pop(key.claim.id, None)

    def keep(
        self,
        arrays: Iterable[Slots[Begun]],
        books: Bookkeeping,
        bookkeeper: ThreadPoolExecutor,
        *,
        stopping: bool = False,
    ) -> None:
        """Keep the states of the trials that have trained for so long since they began or were last kept.

        Nothing is kept while the database has not taken what was: the states that wait would fill the memory.

        Args:
            arrays: with the trials.
            books: that write.
            bookkeeper: the thread that they write in.
            stopping: whether the worker was told to stop.
        """
        while self._writing and self._writing[0].done():
            self._writing.popleft().result()
        if self._writing and not stopping:
            return
        now = time.monotonic()
        for slots in arrays:
            for key, step in slots.steps():
                if now - self._kept[key.claim.id] < _seconds(key, stopping=stopping):
                    continue
                self.begin(key)
                state = slots.state(key)
                if state is not None:
                    self._writing.append(bookkeeper.submit(books.save, key.claim, step, state))


def _seconds(key: Begun, *, stopping: bool) -> float:
    if stopping:
        return WORTH_KEEPING
    return SECONDS_BETWEEN if key.claim.attempt == 1 else SECONDS_AFTER_A_LOSS
