"""Workers on a Ray cluster: Ray places them where cores and GPUs are, and starts those of lost nodes elsewhere."""

import os
import threading
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from gradstudy.scripts.options import AUTO
from gradstudy.scripts.running.listeners import OnlyWaiting
from gradstudy.scripts.running.one_worker import Engine, Work
from gradstudy.storage.database import Database
from gradstudy.storage.errors import ExtraMissingError
from gradstudy.storage.studies import find_study

SECONDS_FOR_A_LOOK = 0.1


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What each worker asks of the cluster.

    Attributes:
        cpus: cores, and the threads that it computes with.
        gpus: GPUs; several workers may share one, each with a fraction.
    """

    cpus: int = 1
    gpus: float = 0.0


def _work(url: str, name: str, slots: int | None, device: str, allowed: list[str], threads: int, workers: int) -> None:
    """Be a worker of a study, on whatever node this runs."""
    from gradstudy.models.user_module.trusted import trusting_only
    from gradstudy.scripts.running.on_the_way import work_on_way
    from gradstudy.study.worker.job import Job

    work = Work(workers=workers, slots=str(slots or AUTO), threads=threads, device=device, engine=Engine.RAY)
    with trusting_only(allowed), Database.open(url) as database:
        job = Job.of(database, find_study(database, name))
        work_on_way(job, work, listener=OnlyWaiting(print), stop=threading.Event())  # into Ray's log of the worker


class RayPool:
    """Workers as tasks of Ray, with the interface of a ``WorkerPool``."""

    def __init__(
        self,
        count: int,
        storage: str,
        name: str,
        *,
        slots: int | None,
        device: str,
        placement: Placement,
        allowed: list[str],
    ) -> None:
        """Prepare ``count`` workers of a study on the cluster that ``RAY_ADDRESS`` names, else on one of this machine.

        Args:
            count: of workers.
            storage: URL of the database, which every node must reach.
            name: of the study.
            slots: trials at once in each worker; None fits device and model.
            device: where each trains.
            placement: what each asks of the cluster.
            allowed: folders and packages that each may import the user's own code from.

        Raises:
            ExtraMissingError: Ray is not installed.
        """
        self._ray = _import_ray()
        self._start = partial(self._submit, count, placement, storage, name, slots, device, allowed)
        self._tasks: list[Any] = []
        self._made_cluster = not self._ray.is_initialized()
        if self._made_cluster:
            self._ray.init(log_to_driver=False, logging_level="ERROR")
        self._stopping = False

    def _submit(self, count: int, placement: Placement, *given: Any) -> None:
        task = self._ray.remote(num_cpus=placement.cpus, num_gpus=placement.gpus, max_retries=-1)(_work)
        self._tasks = [task.remote(*given, placement.cpus, count) for _ in range(count)]

    def begin(self) -> None:
        """Let every worker begin."""
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.ask_to_stop()
        if self._made_cluster:
            self._ray.shutdown()

    def running(self) -> bool:
        """Whether any worker still runs."""
        return bool(self._pending())

    def wait(self, seconds: float | None = None) -> None:
        """Wait until every worker has ended, so many ``seconds`` at most."""
        self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=seconds, fetch_local=False)

    def ask_to_stop(self) -> None:
        """Let every worker give back its trials and end."""
        self._stopping = True
        for task in self._pending():
            self._ray.cancel(task)

    def failures(self) -> list[str]:
        """One text for each worker that failed."""
        texts = []
        for number, task in enumerate(self._tasks):
            try:
                self._ray.get(task, timeout=SECONDS_FOR_A_LOOK)
            except self._ray.exceptions.GetTimeoutError:
                continue
            except self._ray.exceptions.RayError as error:
                if not self._stopping:
                    texts.append(f"worker {number} failed: {str(error).strip().splitlines()[-1]}")
        return texts

    def _pending(self) -> list[Any]:
        _, pending = self._ray.wait(
            self._tasks, num_returns=len(self._tasks), timeout=SECONDS_FOR_A_LOOK, fetch_local=False
        )
        return list(pending)


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ExtraMissingError("Ray is not installed; pip install 'gradstudy[ray]' brings it") from error
    return ray
