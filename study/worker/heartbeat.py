"""A worker's sign of life, whatever its other threads are waiting for."""

import threading
from contextlib import AbstractContextManager, suppress

from sqlalchemy import Engine

from gradstudy.storage.workers import HEARTBEAT_SECONDS, touch_worker
from gradstudy.study.background import in_background
from gradstudy.study.patience import UNANSWERED


def heartbeat(engine: Engine, worker_id: int) -> AbstractContextManager[None]:
    """Tell the database every few seconds that a worker is alive; a beat that it does not answer is left out."""

    def beat(stop: threading.Event) -> None:
        while not stop.wait(HEARTBEAT_SECONDS):
            with suppress(*UNANSWERED):
                touch_worker(engine, worker_id)

    return in_background("heartbeat", beat)
