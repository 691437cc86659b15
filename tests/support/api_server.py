"""The JSON interface in a server of this process, as the dashboard runs it: with the gate, over real sockets."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from waiting import PATIENCE_SECONDS

from gradstudy.scripts.web.api.application import api_application
from gradstudy.scripts.web.application import protected
from gradstudy.scripts.web.gate import Gate
from gradstudy.scripts.web.hosts import Hosts
from gradstudy.scripts.web.password import Password
from gradstudy.scripts.web.server import WebServer, resolve
from gradstudy.storage.database import Database

TINY = {
    "task": "copy",
    "task_options": {"max_length": 4, "examples": 200},
    "model": {"hidden_size": 8},
    "steps": 10,
    "batch_size": 8,
    "trials": 6,
    "space": {"strategies": ["none", "norm"], "cells": ["lstm"]},
}
"""A spec without its name."""


@dataclass(frozen=True)
class Told:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of a failure, which is all that it has beside a copy for optuna-dashboard."""
        assert set(self.json) - {"reason"} == {"error"}, self.body
        assert self.headers["content-type"].startswith("application/json")
        return str(self.json["error"])


@dataclass(frozen=True)
class ApiServer:
    """A server that listens.

    Attributes:
        url: of it.
        database: whose studies it has.
        password: that it asks for.
    """

    url: str
    database: Database
    password: str | None

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[-1])

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Told:
        """Ask below ``/api/v1``; a body that is no bytes is sent as JSON. Header names have _ for -."""
        request = urllib.request.Request(f"{self.url}/api/v1{path}", method=method)
        if body is not None:
            request.data = body if isinstance(body, bytes) else json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if self.password is not None:
            request.add_header("Authorization", "Basic " + base64.b64encode(f":{self.password}".encode()).decode())
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as told:
                return Told(told.status, _lower(told.headers), told.read())
        except urllib.error.HTTPError as error:
            with error:
                return Told(error.code, _lower(error.headers), error.read())


@contextmanager
def api_server(storage: str, *, password: str | None = None, writable: bool = True) -> Iterator[ApiServer]:
    """Serve the studies of a database."""
    with Database.open(storage, create=True) as database:
        gate = Gate(Hosts("127.0.0.1"), None if password is None else Password(password), writable)
        server = WebServer(resolve("127.0.0.1", 0), protected(api_application(database)), gate)
        with server.serving():
            yield ApiServer(server.url.rstrip("/"), database, password)


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
