"""The dashboard as a process of its own."""

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from waiting import PATIENCE_SECONDS, until


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """A dashboard that runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.process = process
        self.first_line = process.stdout.readline()
        assert "http://" in self.first_line, f"{self.first_line}{process.communicate()}"
        self.url = self.first_line.split(" at ")[1].split()[0]

    def ask(self, path: str, method: str = "GET", body: Any = None, password: str | None = None) -> Answer:
        request = urllib.request.Request(self.url + path, method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if password is not None:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"me:{password}".encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """The answer, once it is as it should be."""
        answers: list[Any] = []
        until(lambda: answers.append(self.ask(path).json()) or holds(answers[-1]), or_ends=self.process.poll)
        return answers[-1]

    def stop(self, number: signal.Signals) -> tuple[int, str, str]:
        """The exit code, and what was printed since the first line."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, out, err


@contextmanager
def serving(storage: str, *options: str, verb: str = "dashboard", **environment: str) -> Iterator[Served]:
    """Run the dashboard, or ``serve`` with a database of its own in the folder that is given for it."""
    where = "--storage" if verb == "dashboard" else "--data"
    command = [sys.executable, "-m", "gradstudy.scripts.main", verb, where, storage, "--port", "0"]
    with subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    ) as process:
        try:
            yield Served(process)
        finally:
            process.kill()
            sys.stdout.write(process.communicate()[1])  # what it said, which is shown of a test that fails
