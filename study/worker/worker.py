"""The worker: fills its slots with trials, trains them, and has their results stored."""

import os
import socket
import threading
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from gradstudy.models.trainable import Trainable
from gradstudy.storage.results import TrialResult
from gradstudy.storage.workers import register_worker, stop_worker
from gradstudy.study.errors import TrialsFailError
from gradstudy.study.search.pruning import steps_between_rungs
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.spec.variations import in_common, own_hyperparameters, variations, varied
from gradstudy.study.training.arrays import Ended, Slots, make_array, make_workspace
from gradstudy.study.training.data import load_data
from gradstudy.study.training.slots import begin_together
from gradstudy.study.training.trial import Newcomer
from gradstudy.study.worker.bookkeeping import Begun, Bookkeeping, Ready
from gradstudy.study.worker.checkpointing import Checkpointing
from gradstudy.study.worker.failures import FAILURES_IN_A_ROW
from gradstudy.study.worker.heartbeat import heartbeat
from gradstudy.study.worker.job import Job
from gradstudy.study.worker.process_space import process_space

if TYPE_CHECKING:
    from gradstudy.study.spec.factors import Factors
    from gradstudy.study.spec.parts import CellName

ASKED_AHEAD = 0.25
"""Trials that are asked for before a slot is free, as a share of the slots: those that end together are replaced at
once, and an adaptive sampler's answers are not much older than the trials that they rest on. None where all slots are
filled at once: they would wait for the whole of a training, while other workers go without."""

SECONDS_UNTIL_ASKED_AGAIN = 0.5
"""Time until a worker that got no trial asks again; one that has none at all begins with less."""
SHORTEST_PAUSE = 0.03


class Listener(Protocol):
    """What a worker tells those who watch it."""

    def started(self, ordinal: int) -> None:
        """The trial of a place in the budget has begun."""

    def finished(self, ordinal: int, result: TrialResult) -> None:
        """It has ended and is stored."""

    def waiting(self, message: str) -> None:
        """The database does not answer, and is waited for; comes from another thread."""


class Worker:
    """Runs trials of one study until its budget is used up or it is told to stop.

    Training has a thread of its own. A second thread does the bookkeeping: it asks for trials before their slots are
    free, and stores what has ended while training goes on. A third one shows that the worker is alive.
    """

    def __init__(
        self,
        job: Job,
        *,
        slots: int,
        device: str = "cpu",
        workers: int = 1,
        stand_by: bool = True,
        listener: Listener,
    ) -> None:
        """Register a worker of a study.

        Args:
            job: the study.
            slots: trials at once, over all cells.
            device: where to train.
            workers: how many workers the study has at least, this one included.
            stand_by: whether to wait, when no trial is left to begin, until those of others have ended, in case
                one of them is lost.
            listener: who is told of trials that begin and end.
        """
        self._job = job
        self._slots = slots
        self._workers = workers
        self._stand_by = stand_by
        self._listener = listener
        self._device = device
        self._workspaces = {job.spec.precision: make_workspace(job.spec, device)}
        self._arrays: dict[tuple[CellName, Factors], Slots[Begun]] = {}
        self._data_of: dict[str, Trainable] = {}
        self._asked: deque[Future[Ready | None]] = deque()
        self._stored: deque[tuple[list[int], Future[list[TrialResult | None]]]] = deque()
        self._errors: deque[str | None] = deque(maxlen=FAILURES_IN_A_ROW)
        self._checkpointing = Checkpointing()
        self._judged: deque[tuple[Begun, Future[bool]]] = deque()
        self._ask_again = 0.0
        self._pause = SHORTEST_PAUSE
        self._worker_id = register_worker(
            job.database.engine, socket.gethostname(), os.getpid(), device, process_space()
        )

    def run(self, stop: threading.Event) -> None:
        """Work until no trial is left, or until ``stop`` is set; then give back what is running.

        Raises:
            TrialsFailError: the user's code failed in several trials, one after the other; what was running is given
                back.
        """
        books = Bookkeeping(
            self._job,
            self._worker_id,
            workers=self._workers,
            stop=stop,
            announce=self._listener.waiting,
        )
        with heartbeat(self._job.database.engine, self._worker_id), ThreadPoolExecutor(1, "bookkeeping") as bookkeeper:
            try:
                bookkeeper.submit(books.recover).result()
                while not stop.is_set() and (self._work(books, bookkeeper) or self._waits(books, bookkeeper, stop)):
                    pass
            finally:
                try:
                    self._give_back_all(books, bookkeeper)
                finally:
                    stop_worker(self._job.database.engine, self._worker_id)

    def _work(self, books: Bookkeeping, bookkeeper: ThreadPoolExecutor) -> bool:
        """Train every trial for a block of steps; False when there is none, and there was none to be stored."""
        self._ask(books, bookkeeper)
        self._admit()
        busy = [slots for slots in self._arrays.values() if slots.keys]
        self._tell_steps(busy, books, bookkeeper)
        self._store([ended for slots in busy for ended in slots.advance()], books, bookkeeper)
        if self._job.spec.pruner != "none":
            self._prune(busy, books, bookkeeper)
        self._checkpointing.keep(busy, books, bookkeeper)
        stored = bool(self._stored)
        self._report(wait=not busy)
        if len(self._errors) == FAILURES_IN_A_ROW and all(self._errors):
            raise TrialsFailError(FAILURES_IN_A_ROW, str(self._errors[-1]))
        return bool(busy) or stored  # what is stored makes room for others in this worker's share

    def _tell_steps(self, busy: list[Slots[Begun]], books: Bookkeeping, bookkeeper: ThreadPoolExecutor) -> None:
        """Have written down how far the trials are that were lost before: the next step may be what ends workers."""
        steps = [(key.claim, step) for slots in busy for key, step in slots.steps() if key.claim.losses]
        if steps:
            bookkeeper.submit(books.tell_steps, steps).result()

    def _store(self, together: list[Ended[Begun]], books: Bookkeeping, bookkeeper: ThreadPoolExecutor) -> None:
        """Have trials stored that have ended, all in one transaction."""
        for ended in together:
            self._checkpointing.end(ended.key)
            self._errors.append(ended.result.error)
        if together:
            ordinals = [ended.key.claim.ordinal for ended in together]
            self._stored.append((ordinals, bookkeeper.submit(books.finish, together)))

    def _prune(self, busy: list[Slots[Begun]], books: Bookkeeping, bookkeeper: ThreadPoolExecutor) -> None:
        """End trials that were found to fall behind, and have those judged that came to a rung.

        Training goes on meanwhile, but not past the next rung. Every array has made its steps when trials are ended:
        a judgement may empty any of them.
        """
        distance = steps_between_rungs(self._job.spec)
        arrived = [at_rung for slots in busy for at_rung in slots.at_rungs(distance)]
        waited_for = {id(key) for key, _, _ in arrived}
        for _ in range(len(self._judged)):
            key, judgement = self._judged.popleft()
            if id(key) not in waited_for and not judgement.done():
                self._judged.append((key, judgement))
            elif judgement.result() and (holder := _holding(busy, key)):
                self._store([holder.prune(key)], books, bookkeeper)
        for key, step, smoothed_loss in arrived:
            if _holding(busy, key):
                self._judged.append((key, bookkeeper.submit(books.falls_behind, key, step, smoothed_loss)))

    def _waits(self, books: Bookkeeping, bookkeeper: ThreadPoolExecutor, stop: threading.Event) -> bool:
        """Wait for trials that others hold; False when there is nothing to wait for."""
        if not self._stand_by or bookkeeper.submit(books.is_complete).result():
            return False
        stop.wait(self._pause)
        self._pause = min(2 * self._pause, SECONDS_UNTIL_ASKED_AGAIN)
        bookkeeper.submit(books.recover).result()
        return True

    def _ask(self, books: Bookkeeping, bookkeeper: ThreadPoolExecutor) -> None:
        """Have trials asked for until those that run and those that come fill the slots, and some more."""
        if self._running() and time.monotonic() < self._ask_again:
            return
        running, ahead = self._running(), max(1, int(ASKED_AHEAD * self._slots))
        if self._together == self._slots > 1:  # none begins before all of these have ended
            running, ahead = self._slots if running else 0, 0
        wanted = self._slots + ahead - running - len(self._asked)
        if self._ask_again:  # there was none, and there may be one now: no need to hear it from several
            wanted = min(wanted, 1 - len(self._asked))
        if wanted > 0:
            books.expect(wanted)
        for _ in range(wanted):
            self._asked.append(bookkeeper.submit(books.begin))

    @cached_property
    def _together(self) -> int:
        """How many slots are filled at once; to find out, a user's model is tried."""
        return begin_together(self._job.spec, self._job.data, self._device, self._slots)

    def _admit(self) -> None:
        """Put trials that are ready into free slots, as many together as begin together; wait where nothing runs."""
        idle = not self._running()
        if not idle and min(self._slots - self._running(), self._ready()) < min(self._together, len(self._asked)):
            return
        fills, together = idle and self._together > 1, list[Ready | None]()
        while len(together) < len(self._asked) and self._running() + len(together) < self._slots:
            if not (self._ready() or fills or not self._running()):
                return
            together.append(self._asked[len(together)].result())
            if not fills:
                self._begin(together)
                together = []
        self._begin(together)

    def _begin(self, together: Sequence[Ready | None]) -> None:
        """Put the next trials that were asked for into slots that are free; None is where there was none."""
        groups: dict[tuple[CellName, Factors], list[Newcomer[Begun]]] = defaultdict(list)
        for ready in filter(None, together):
            begun, setting = ready.begun, ready.begun.setting
            own = own_hyperparameters(self._job.spec, setting.factors)
            kind = setting.cell, in_common(self._job.spec, setting.factors)
            groups[kind].append(Newcomer(begun, setting, begun.claim.seed, own, ready.states))
        for kind, newcomers in groups.items():
            self._slots_of(*kind).admit_all(newcomers)
        for one in together:
            self._asked.popleft()
            self._ask_again = 0.0 if one else time.monotonic() + SECONDS_UNTIL_ASKED_AGAIN
            if one:
                self._pause = SHORTEST_PAUSE
                self._checkpointing.begin(one.begun)
                self._listener.started(one.begun.claim.ordinal)

    def _ready(self) -> int:
        """How many trials that were asked for have come."""
        return sum(asked.done() for asked in self._asked)

    def _report(self, *, wait: bool) -> None:
        """Tell the listener of trials that are stored by now."""
        while self._stored and (wait or self._stored[0][1].done()):
            ordinals, future = self._stored.popleft()
            for ordinal, result in zip(ordinals, future.result(), strict=True):
                if result is not None:
                    self._listener.finished(ordinal, result)

    def _running(self) -> int:
        return sum(len(slots.keys) for slots in self._arrays.values())

    def _slots_of(self, cell: "CellName", factors: "Factors") -> Slots[Begun]:
        """The array for trials of one cell and one choice of factors, but for hyperparameters of the optimizer."""
        key = (cell, factors)
        if key not in self._arrays:
            if factors:  # there may be many: those without trials make room
                self._arrays = {known: slots for known, slots in self._arrays.items() if slots.keys}
            spec = varied(self._job.spec, factors)
            if spec.precision not in self._workspaces:
                self._workspaces[spec.precision] = make_workspace(spec, self._device)
            workspace = self._workspaces[spec.precision]
            array = make_array(spec, cell, self._loaded(spec), self._slots, workspace)
            self._arrays[key] = Slots(array, spec)
        return self._arrays[key]

    def _loaded(self, spec: StudySpec) -> Trainable:
        """The data of a trial's spec; loaded once for each choice of the task's options."""
        if not self._job.spec.space.factors:
            return self._job.data
        options = str(sorted(spec.task_options.items()))
        if options not in self._data_of:
            first = variations(self._job.spec)[0]
            self._data_of[options] = self._job.data if spec.task_options == first.task_options else load_data(spec)
        return self._data_of[options]

    def _give_back_all(self, books: Bookkeeping, bookkeeper: ThreadPoolExecutor) -> None:
        """Give back what runs and what was asked for; keep how far it is, and store what has ended."""
        self._checkpointing.keep(self._arrays.values(), books, bookkeeper, stopping=True)
        asked = [future for future in self._asked if not future.cancel()]
        begun = [ready.begun for future in asked if not future.exception() and (ready := future.result())]
        begun += [key for slots in self._arrays.values() for key in slots.keys]
        self._asked.clear()
        self._arrays.clear()
        for key in begun:
            bookkeeper.submit(books.give_back, key.claim).result()
        bookkeeper.submit(books.give_back_ready).result()
        self._report(wait=True)


def _holding(arrays: list[Slots[Begun]], key: Begun) -> Slots[Begun] | None:
    """The array that a trial is in; None when it has ended."""
    return next((slots for slots in arrays if any(held is key for held in slots.keys)), None)
