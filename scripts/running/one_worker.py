"""One worker in this process, as ``launch`` and ``work`` start it."""

import os
import threading
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

from gradstudy.scripts.options import AUTO

if TYPE_CHECKING:
    from gradstudy.study.worker.job import Job
    from gradstudy.study.worker.worker import Listener

WORKERS_A_CORE = 4
"""Worker processes for each core, at most: each has its own arrays in memory."""


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


def fitted(work: Work, trials: int | None = None) -> Work:
    """The same with no more of anything than can be used, and a word on what is less.

    Args:
        work: what was asked for.
        trials: of the study, where one is known.
    """
    cores = os.cpu_count() or 1
    most: dict[str, tuple[int, str]] = {}
    if work.engine is Engine.LOCAL:  # how large the machines of a cluster are is not known here
        most = {
            "threads": (cores, "one for each core"),
            "workers": (WORKERS_A_CORE * cores, f"{WORKERS_A_CORE} for each core"),
        }
    if trials is not None:
        most["slots"] = (trials, "one for each trial of the study")
    for name, (number, reason) in most.items():
        given = getattr(work, name)
        if given != AUTO and int(given) > number:
            typer.echo(f"gradstudy: --{name} {given} becomes {number}, {reason}: more are of no use", err=True)
            work = replace(work, **{name: type(given)(number)})
    return work


def slot_count(work: Work, job: "Job") -> int:
    """The number of slots that is meant for a study."""
    from gradstudy.study.training.slots import choose_slots

    if work.slots == AUTO:
        return choose_slots(job.spec, job.data, work.device, work.workers)
    return min(int(work.slots), job.spec.trials)


def run_worker(job: "Job", work: Work, *, stand_by: bool, listener: "Listener", stop: threading.Event) -> None:
    """Let a worker work until no trial is left or ``stop`` is set; see ``study.worker.Worker``."""
    from gradstudy.study.training.device import set_up_process
    from gradstudy.study.worker.worker import Worker

    set_up_process(work.threads)
    Worker(
        job,
        slots=slot_count(work, job),
        device=work.device,
        workers=work.workers,
        stand_by=stand_by,
        listener=listener,
    ).run(stop)
