"""Worker processes on this machine, each a ``gradstudy work`` of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from gradstudy.storage.default_storage import STORAGE_VARIABLE

LAST_LINES = 5
"""Lines of a failed worker's log that are shown."""

MAX_RESTARTS = 3
"""How many times a worker that failed is started anew."""

ORDERLY = (0, 130)
"""Exit codes of a worker that was through, or was asked to stop."""

WRONG_USAGE = 2
"""Exit code of a worker that would fail again."""


@dataclass
class _Member:
    """One worker's process, which may have had others before it."""

    log: IO[bytes]
    process: subprocess.Popen[bytes]
    restarts: int = 0

    def has_failed(self) -> bool:
        code = self.process.poll()
        return code is not None and code not in ORDERLY

    def can_be_restarted(self) -> bool:
        return self.has_failed() and self.process.returncode != WRONG_USAGE and self.restarts < MAX_RESTARTS

    def last_lines(self) -> str:
        lines = Path(self.log.name).read_text(errors="replace").strip().splitlines()[-LAST_LINES:]
        return " / ".join(lines)


class WorkerPool:
    """Starts worker processes, replaces those that fail, asks them to stop, and says what went wrong.

    A process loads its libraries, which takes seconds, and then waits for ``begin``: meanwhile there may be a study
    to create.
    """

    def __init__(self, count: int, storage: str, arguments: Sequence[str]) -> None:
        """Start ``count`` processes of ``gradstudy work`` with these arguments.

        The URL of the database goes through the environment, where other users do not see its password.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="gradstudy-"))
        self._environment = os.environ | {STORAGE_VARIABLE: storage}
        # -P: what lies in the current folder, such as a random.py, is not imported for being there.
        # The pipe to a worker closes when this process dies, however it dies; the worker then stops in order.
        self._command = [sys.executable, "-P", "-m", "gradstudy.scripts.main", "work", *arguments, "--when-told"]
        self._stopping = False
        self._begun = False
        self._members = []
        for number in range(count):
            log = (self._folder / f"worker-{number}.log").open("wb")
            self._members.append(_Member(log, self._start(log)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        """Leave no process behind: what still runs now is not asked but ended. Logs of failures stay."""
        self.ask_to_stop()
        failed = bool(self.failures())
        for member in self._members:
            if member.process.poll() is None:
                member.process.kill()
                member.process.wait()
            member.log.close()
        if not failed:
            shutil.rmtree(self._folder)

    def begin(self) -> None:
        """Let every worker begin."""
        self._begun = True
        for member in self._members:
            _tell(member.process)

    def running(self) -> bool:
        """Whether any worker still runs; one that has failed is started anew, a bounded number of times."""
        for member in self._members:
            if member.can_be_restarted() and not self._stopping:
                member.restarts += 1
                member.process = self._start(member.log)
                if self._begun:
                    _tell(member.process)
        return any(member.process.poll() is None for member in self._members)

    def wait(self) -> None:
        """Wait until every worker has ended."""
        for member in self._members:
            member.process.wait()

    def ask_to_stop(self) -> None:
        """Let every worker give back its trials and end."""
        self._stopping = True
        for member in self._members:
            with suppress(BrokenPipeError):
                if member.process.stdin is not None:
                    member.process.stdin.close()

    def pids(self) -> list[int]:
        """The processes, one for each worker."""
        return [member.process.pid for member in self._members]

    def failures(self) -> list[str]:
        """One text for each worker that failed to the end: its exit code, its log and the log's last lines."""
        return [
            f"worker {number} ended with exit code {member.process.returncode} after {member.restarts} restarts "
            f"(log: {member.log.name}): {member.last_lines()}"
            for number, member in enumerate(self._members)
            if member.has_failed()
        ]

    def _start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C reaches this process only, which then asks the workers to stop.
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=self._environment,
            start_new_session=True,
        )


def _tell(process: subprocess.Popen[bytes]) -> None:
    """Let a worker begin, unless it has died."""
    with suppress(BrokenPipeError):
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
