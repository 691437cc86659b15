"""HTTP requests as bytes, written to a socket as they are."""

import base64
import socket
from contextlib import suppress
from dataclasses import dataclass

from waiting import PATIENCE_SECONDS


def request(
    target: str = "/",
    *headers: str,
    method: str = "GET",
    host: str | None = "localhost",
    version: str = "HTTP/1.1",
    password: str | None = None,
    body: bytes = b"",
) -> bytes:
    """A request after whose answer the connection is closed."""
    lines = [f"{method} {target} {version}", *headers, "Connection: close"]
    if host is not None:
        lines.append(f"Host: {host}")
    if password is not None:
        lines.append("Authorization: Basic " + base64.b64encode(f"me:{password}".encode()).decode())
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Answer:
    """What came back until the connection was closed; of no answer, the status is 0."""

    text: str

    @property
    def status(self) -> int:
        return int(self.text.split()[1]) if self.text else 0

    @property
    def headers(self) -> dict[str, str]:
        lines = self.text.partition("\r\n\r\n")[0].split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> str:
        return self.text.partition("\r\n\r\n")[2]


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)


def answer(connection: socket.socket) -> Answer:
    """What the server says until it closes the connection."""
    received = b""
    with suppress(ConnectionError):  # it was closed while something was still being sent
        while chunk := connection.recv(65536):
            received += chunk
    return Answer(received.decode("latin-1"))


def ask(port: int, raw: bytes, *, then_ends: bool = False) -> Answer:
    """Send bytes on a connection of their own, and nothing more; ``then_ends`` says so to the server."""
    with connected(port) as connection:
        with suppress(OSError):  # refused, or closed, before all of it was sent
            connection.sendall(raw)
            if then_ends:
                connection.shutdown(socket.SHUT_WR)
        return answer(connection)
