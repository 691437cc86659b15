"""Worker processes on this machine, each a ``gradstudy work`` of its own.

They are forked from one process that has loaded what all of them need, see ``preloaded``: loading it takes seconds.
"""

import fcntl
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

from gradstudy.scripts.running.forked_worker import SPEC_VARIABLE, run_forked
from gradstudy.storage.default_storage import STORAGE_VARIABLE

LAST_LINES = 5
"""Lines of a failed worker's log that are shown."""

MAX_RESTARTS = 3
"""How many times a worker that failed is started anew."""

THROUGH = 0
"""Exit code of a worker that found every trial of its study ended."""

ORDERLY = (THROUGH, 130)
"""Exit codes of a worker that was through, or was asked to stop."""

WRONG_USAGE = 2
"""Exit code of a worker that would fail again."""


@dataclass
class _Member:
    """One worker's process, which may have had others before it.

    Attributes:
        log: where it writes.
        process: of the worker.
        line: that tells it to begin; at the line's end it stops.
        restarts: how many there have been.
    """

    log: Path
    process: BaseProcess
    line: Connection
    restarts: int = 0

    def has_failed(self) -> bool:
        return self.process.exitcode is not None and self.process.exitcode not in ORDERLY

    def can_be_restarted(self) -> bool:
        return self.has_failed() and self.process.exitcode != WRONG_USAGE and self.restarts < MAX_RESTARTS

    def tell(self) -> None:
        """Let it begin, unless it has died."""
        with suppress(BrokenPipeError):
            os.write(self.line.fileno(), b"\n")

    def last_lines(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()[-LAST_LINES:]
        return " / ".join(lines)


class Loading:
    """The process that workers are forked from, as it loads what they need: it begins before their study is known.

    It gets the spec by a file, whose lock is held here until the spec is written.
    """

    def __init__(self) -> None:
        """Let it begin, unless it has loaded for others before."""
        self._spec = tempfile.NamedTemporaryFile("w", prefix="gradstudy-")  # noqa: SIM115 (it is closed by `close`)
        fcntl.flock(self._spec, fcntl.LOCK_EX)
        if _context().get_start_method() == "forkserver":
            with _environment(self._spec.name):
                forkserver.ensure_running()  # it loads; to fork from it is to wait until it has

    def tell(self, spec: str | None) -> None:
        """Let it load the data of the study with this spec, given as JSON; of none where there is no such study."""
        self._spec.write(spec or "")
        self._spec.flush()
        fcntl.flock(self._spec, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let it wait no longer for a spec."""
        self._spec.close()


class WorkerPool:
    """Starts worker processes, replaces those that fail, asks them to stop, and says what went wrong.

    They begin when told: what they need is loaded meanwhile, and there may be a study to create.
    """

    def __init__(
        self,
        count: int,
        storage: str,
        arguments: Sequence[str],
        spec: str | None = None,
        loading: Loading | None = None,
    ) -> None:
        """Get ``count`` processes of ``gradstudy work`` with these arguments ready.

        Args:
            count: how many.
            storage: URL of the database; other users see it nowhere, nor its password.
            arguments: of each worker.
            spec: of the study as JSON, where there is one: its data are loaded once for all workers.
            loading: the process that they are forked from, where it has begun to load.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="gradstudy-"))
        self._arguments = [*arguments, "--when-told"]
        self._storage = storage
        self._stopping = False
        self._begun = False
        self._count = count
        self._context = _context()
        self._members: list[_Member] = []
        self._loading = loading or Loading()
        self._loading.tell(spec)
        if self._context.get_start_method() != "forkserver":
            self._start_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        """Leave no process behind: what still runs now is not asked but ended. Logs of failures stay."""
        self.ask_to_stop()
        self._loading.close()
        failed = bool(self.failures())
        for member in self._members:
            if member.process.exitcode is None:
                member.process.kill()
                member.process.join()
            member.process.close()
        if not failed:
            shutil.rmtree(self._folder)

    def begin(self) -> None:
        """Let every worker begin."""
        self._begun = True
        if not self._members:
            self._start_all()
        for member in self._members:
            member.tell()

    def running(self) -> bool:
        """Whether any worker still runs.

        One that has failed is started anew, a bounded number of times. Once one is through, nothing is left to do:
        those that wait for it to be told so need not.
        """
        for member in self._members:
            if member.can_be_restarted() and not self._stopping:
                member.restarts += 1
                member.line.close()
                member.process, member.line = self._start(member.log)
                if self._begun:
                    member.tell()
        if any(member.process.exitcode == THROUGH for member in self._members):
            for member in self._members:
                member.line.close()
        return any(member.process.exitcode is None for member in self._members)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until every worker has ended; given ``seconds``, no longer than these, nor than until one more has."""
        if seconds is not None:
            wait([member.process.sentinel for member in self._members if member.process.exitcode is None], seconds)
            return
        for member in self._members:
            member.process.join()

    def ask_to_stop(self) -> None:
        """Let every worker give back its trials and end."""
        self._stopping = True
        for member in self._members:
            member.line.close()

    def pids(self) -> list[int]:
        """The processes, one for each worker."""
        return [pid for member in self._members if (pid := member.process.pid) is not None]

    def failures(self) -> list[str]:
        """One text for each worker that failed to the end: its exit code, its log and the log's last lines."""
        return [
            f"worker {number} ended with exit code {member.process.exitcode} after {member.restarts} restarts "
            f"(log: {member.log}): {member.last_lines()}"
            for number, member in enumerate(self._members)
            if member.has_failed()
        ]

    def _start_all(self) -> None:
        for number in range(self._count):
            log = self._folder / f"worker-{number}.log"
            self._members.append(_Member(log, *self._start(log)))

    def _start(self, log: Path) -> tuple[BaseProcess, Connection]:
        # The pipe to a worker closes when this process dies, however it dies; the worker then stops in order.
        told, line = Pipe(duplex=False)
        environment = os.environ | {STORAGE_VARIABLE: self._storage}
        process = self._context.Process(target=run_forked, args=(self._arguments, environment, log, told))
        process.start()
        told.close()
        return process, line  # pyright: ignore[reportReturnType] (on Windows it is of another type)


def _context() -> ForkServerContext | SpawnContext:
    """How processes are started: forked from one that has loaded what they need, where that is safe."""
    if sys.platform != "linux":  # elsewhere libraries that torch uses must not be forked
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gradstudy.scripts.running.preloaded"])
    return context


@contextmanager
def _environment(spec: str) -> Iterator[None]:
    """What the process sees that workers are forked from; ``spec`` is the file of their study's spec.

    What lies in the current folder, such as a random.py, is not imported for being there.
    """
    seen = {"PYTHONSAFEPATH": "1", SPEC_VARIABLE: spec}
    before = {name: os.environ.get(name) for name in seen}
    os.environ.update(seen)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
