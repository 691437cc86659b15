"""One worker in this process, as ``launch`` and ``work`` start it."""

import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from gradstudy.scripts.options import AUTO

if TYPE_CHECKING:
    from gradstudy.study.worker.job import Job
    from gradstudy.study.worker.worker import Listener


class Engine(StrEnum):
    """Who places workers."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True, kw_only=True)
class Work:
    """How a study is worked on.

    Attributes:
        workers: how many workers it has at least.
        slots: trials at once in each, or ``auto``.
        threads: that each computes with.
        device: where each trains.
        engine: who places them.
        gpus: with Ray, what each asks for.
    """

    workers: int
    slots: str
    threads: int
    device: str
    engine: Engine = Engine.LOCAL
    gpus: float = 0.0


def slot_count(work: Work, job: "Job") -> int:
    """The number of slots that is meant for a study."""
    from gradstudy.study.training.slots import choose_slots

    return choose_slots(job.spec, job.data, work.device) if work.slots == AUTO else int(work.slots)


def run_worker(job: "Job", work: Work, *, stand_by: bool, listener: "Listener", stop: threading.Event) -> None:
    """Let a worker work until no trial is left or ``stop`` is set; see ``study.worker.Worker``."""
    from gradstudy.study.training.device import limit_threads
    from gradstudy.study.worker.worker import Worker

    limit_threads(work.threads)
    Worker(
        job,
        slots=slot_count(work, job),
        device=work.device,
        workers=work.workers,
        stand_by=stand_by,
        listener=listener,
    ).run(stop)
