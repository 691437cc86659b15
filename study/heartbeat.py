"""A worker's sign of life, whatever its other threads are waiting for."""

import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from sqlalchemy import Engine

from gradstudy.storage.liveness import HEARTBEAT_SECONDS
from gradstudy.storage.workers import touch_worker
from gradstudy.study.patience import UNANSWERED


class Heartbeat:
    """Tells the database every few seconds that a worker is alive; a beat that it does not answer is left out."""

    def __init__(self, engine: Engine, worker_id: int) -> None:
        """Prepare the heartbeat of a worker; it beats within a ``with`` block."""
        self._engine = engine
        self._worker_id = worker_id
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT_SECONDS):
            with suppress(*UNANSWERED):
                touch_worker(self._engine, self._worker_id)
