"""A WSGI application on an address of this machine, served by waitress in a thread of its own."""

import ipaddress
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from gradstudy.scripts.errors import CannotServeError, UsageError
from gradstudy.scripts.web.gate import Gate
from gradstudy.scripts.web.headers import Application
from gradstudy.study.background import in_background

SECONDS_BETWEEN_LOOKS = 1.0
"""How long the server waits for requests before it looks around; it is woken up when it is to stop."""


BACKLOG = 1024
"""Connections that wait until they are taken; the system may allow fewer."""


class Address(NamedTuple):
    """Where to listen."""

    family: socket.AddressFamily
    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.host.partition("%")[0]).is_loopback

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.family == socket.AF_INET6 else self.host
        return f"{host}:{self.port}"


def resolve(host: str, port: int) -> Address:
    """The address that a name stands for; the first, if there are several.

    Raises:
        UsageError: it stands for none.
    """
    try:
        family, _, _, _, found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise UsageError(f"--host takes a name or an address of this machine, but got {host!r}") from None
    return Address(family, str(found[0]), port)


class WebServer:
    """Listens from its creation on.

    Attributes:
        url: where a browser finds it.
    """

    def __init__(self, address: Address, application: Application, gate: Gate) -> None:
        """Begin to listen; port 0 takes one that is free. The application gets what the gate lets in.

        Raises:
            CannotServeError: the port is taken, or the address is not this machine's.
        """
        from gradstudy.scripts.web.connections import gated_server

        try:
            listening = socket.create_server((address.host, address.port), family=address.family, backlog=BACKLOG)
        except OSError as error:
            raise CannotServeError(f"cannot listen on {address}: {os.strerror(error.errno or 0)}") from error
        self.url = f"http://{address._replace(port=listening.getsockname()[1])}/"
        self._map: dict[int, Any] = {}
        self._server = gated_server(application, listening, self._map, gate)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer requests within a ``with``; at its end those in progress are answered."""
        from waitress import wasyncore

        try:
            with in_background("web-server", self._serve, wake=self._server.pull_trigger):
                yield
        finally:
            for channel in list(self._server.active_channels.values()):
                channel.handle_close()  # with the file that it keeps a long answer in
            wasyncore.close_all(self._map)  # not by the thread, which may end before it is woken

    def _serve(self, stop: threading.Event) -> None:
        from waitress import wasyncore

        while not stop.is_set():
            wasyncore.loop(timeout=SECONDS_BETWEEN_LOOKS, use_poll=True, map=self._map, count=1)
        self._server.task_dispatcher.shutdown()
