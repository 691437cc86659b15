"""Worker processes on this machine, each a ``gradstudy work`` of its own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

LAST_LINES = 5
"""Lines of a failed worker's log that are shown."""


class WorkerPool:
    """Starts worker processes, asks them to stop, and says what went wrong with those that failed."""

    def __init__(self, count: int, storage: str, arguments: Sequence[str]) -> None:
        """Start ``count`` processes of ``gradstudy work`` with these arguments.

        The URL of the database goes through the environment, where other users do not see its password.
        """
        self._logs = tempfile.TemporaryDirectory(prefix="gradstudy-")
        self._processes: list[tuple[subprocess.Popen[bytes], IO[bytes], Path]] = []
        # The pipe to a worker closes when this process dies, however it dies; the worker then stops in order.
        command = [sys.executable, "-m", "gradstudy.scripts.main", "work", *arguments, "--until-end-of-input"]
        environment = os.environ | {"GRADSTUDY_STORAGE": storage}
        for number in range(count):
            path = Path(self._logs.name) / f"worker-{number}.log"
            log = path.open("wb")
            # A session of its own: Ctrl-C reaches this process only, which then asks the workers to stop.
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True
            )
            self._processes.append((process, log, path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave no process behind: what still runs now is not asked but ended."""
        self.ask_to_stop()
        for process, log, _ in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()
            log.close()
        self._logs.cleanup()

    def running(self) -> bool:
        """Whether any worker still runs."""
        return any(process.poll() is None for process, _, _ in self._processes)

    def wait(self) -> None:
        """Wait until every worker has ended."""
        for process, _, _ in self._processes:
            process.wait()

    def ask_to_stop(self) -> None:
        """Let every worker give back its trials and end."""
        for process, _, _ in self._processes:
            if process.stdin is not None:
                process.stdin.close()

    def failures(self) -> list[str]:
        """One text for each worker that failed: its exit code and the last lines of its log."""
        texts = []
        for number, (process, _, path) in enumerate(self._processes):
            if process.returncode not in (0, 130, None):
                lines = path.read_text(errors="replace").strip().splitlines()[-LAST_LINES:]
                texts.append(f"worker {number} ended with exit code {process.returncode}: " + " / ".join(lines))
        return texts
