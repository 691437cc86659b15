"""Requests to a WSGI application of this process."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import setup_testing_defaults


@dataclass
class Reply:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode()


def get(application: Callable[..., Iterable[bytes]], target: str, method: str = "GET", **headers: str) -> Reply:
    """The answer to a request; headers by names with ``_`` for ``-``, in capitals."""
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {"PATH_INFO": unquote_to_bytes(path).decode("latin-1"), "QUERY_STRING": query}
    environ |= {"REQUEST_METHOD": method, **{f"HTTP_{name}": value for name, value in headers.items()}}
    setup_testing_defaults(environ)
    reply = Reply()

    def start(status: str, given: list[tuple[str, str]], error: Any = None) -> None:
        reply.status, reply.headers = int(status.split()[0]), {name.lower(): value for name, value in given}

    reply.body = b"".join(application(environ, start))
    return reply
