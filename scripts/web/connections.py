"""Connections of waitress with a gate before the body, a deadline, and room for those who come while others dawdle.

waitress itself bounds the sizes of headers and bodies and reads slow connections without a thread. But it takes a body
before it asks who sends it, and waits for a slow request as long as a byte arrives now and then.
"""

# pyright: reportIncompatibleVariableOverride=false
# waitress has no annotations, and what it replaces on a class is not what pyright infers.

import logging
import socket
import time
from http import HTTPStatus
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer

from gradstudy.scripts.web.gate import Gate
from gradstudy.scripts.web.headers import Application
from gradstudy.scripts.web.refusal import Refusal

SECONDS_FOR_A_REQUEST = 20.0
"""From the opening of a connection, or its last answer, until a request must be complete."""

SECONDS_WITHOUT_PROGRESS = 60
"""How long an answer may not be taken by whoever asked for it."""

CONNECTIONS = 200
"""How many there are at once; more of them push out those that have kept the server waiting longest."""

SECONDS_TO_BEGIN = 5.0
"""In which a connection is not pushed out: of many that come at once, each has its request on the way."""

LARGEST_HEADER = 16 * 2**10
LARGEST_BODY = 256 * 2**10
"""Bytes: the longest that people send are notes to a study."""

SENTENCES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"the body of a request has less than {LARGEST_BODY // 2**10} KiB",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: f"headers have less than {LARGEST_HEADER // 2**10} KiB in all",
    HTTPStatus.NOT_IMPLEMENTED: "a body is sent as it is or in chunks, and in no other coding",
}

SETTINGS = {
    "max_request_header_size": LARGEST_HEADER,
    "max_request_body_size": LARGEST_BODY,
    "inbuf_overflow": LARGEST_BODY,  # nothing that is sent is written to a file
    "channel_timeout": SECONDS_WITHOUT_PROGRESS,
    "cleanup_interval": 1,
    "connection_limit": 2 * CONNECTIONS,  # beyond it they wait until they are taken
    "log_socket_errors": False,
    "ident": None,
}


class GatedRequest(HTTPRequestParser):  # type: ignore[misc]
    """A request that the gate sees when its headers are complete; refused, its body is not read."""

    command: Any
    error: Any
    proxy_netloc: str

    def __init__(self, adjustments: Any, gate: Gate, client: str) -> None:
        super().__init__(adjustments)
        self._gate, self._client = gate, client

    def received(self, data: bytes) -> int:
        """See HTTPRequestParser; what is wrong is said as the gate says it."""
        consumed: int = super().received(data)
        if self.error is not None and not isinstance(self.error, Refusal):
            status = HTTPStatus(self.error.code)
            self.error = Refusal(status, SENTENCES.get(status, f"this is no request of HTTP: {self.error.body}"))
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """See HTTPRequestParser."""
        super().parse_header(header_plus)
        headers = dict(self.headers)
        if self.proxy_netloc:  # a target with a host of its own, which counts (RFC 9112, 3.2.2)
            headers["HOST"] = self.proxy_netloc
        self.error = self._gate.refusal(self.command, headers, self._client)
        if self.error is not None:
            self.completed = True
            self.expect_continue = False


class TimedChannel(HTTPChannel):  # type: ignore[misc]
    """A connection that knows since when it waits for a request.

    Attributes:
        server: whose it is.
        waiting_since: when it was opened or gave its last answer, as ``time.monotonic`` counts.
    """

    server: Any

    def __init__(self, server: "GatedServer", sock: Any, addr: Any, adj: Any, map: Any = None) -> None:  # noqa: A002
        super().__init__(server, sock, addr, adj, map=map)
        self.waiting_since = time.monotonic()

    def parser_class(self, adj: Any) -> GatedRequest:
        """A request of this connection."""
        return GatedRequest(adj, self.server.gate, self.addr[0])

    def service(self) -> None:
        """See HTTPChannel."""
        super().service()
        self.waiting_since = time.monotonic()


class GatedServer(TcpWSGIServer):  # type: ignore[misc]
    """waitress's server with such connections."""

    channel_class = TimedChannel
    active_channels: dict[int, Any]

    def __init__(self, *given: Any, gate: Gate, **named: Any) -> None:
        self.gate = gate
        super().__init__(*given, **named)

    def handle_accept(self) -> None:
        """Take a new connection."""
        self._make_room()
        super().handle_accept()

    def maintenance(self, now: float) -> None:
        """End connections whose request is late, or whose answer is not taken, and make room for others."""
        late = time.monotonic() - SECONDS_FOR_A_REQUEST
        stuck = now - SECONDS_WITHOUT_PROGRESS
        for channel in self.active_channels.values():
            if channel.total_outbufs_len:
                ends = channel.last_activity < stuck
            else:
                ends = not channel.requests and channel.waiting_since < late
            channel.will_close = channel.will_close or ends
        self._make_room()

    def _make_room(self) -> None:
        """At the limit, end those that have kept the server waiting longest."""
        channels = [one for one in self.active_channels.values() if not one.will_close]
        too_many = len(channels) - CONNECTIONS + 1
        if too_many > 0:
            begun = time.monotonic() - SECONDS_TO_BEGIN
            dawdling = [one for one in channels if not one.requests and one.waiting_since < begun]
            for channel in sorted(dawdling, key=lambda one: one.waiting_since)[:too_many]:
                channel.will_close = True


def gated_server(
    application: Application, listening: socket.socket, connections: dict[int, Any], gate: Gate
) -> GatedServer:
    """A server of what the gate lets in on a socket that listens; it keeps its sockets in ``connections``."""
    kind = (listening.family, listening.type, listening.proto, listening.getsockname())
    settings = Adjustments(sockets=[listening], **SETTINGS)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that requests wait for a thread is no news
    return GatedServer(
        application, connections, True, listening, adj=settings, sockinfo=kind, bind_socket=False, gate=gate
    )
