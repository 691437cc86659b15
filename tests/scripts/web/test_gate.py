"""Who is let in, over real sockets: a server of this process with an application that says what it was asked."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

import pytest
from raw_http import answer, ask, connected, request

from gradstudy.scripts.errors import UsageError
from gradstudy.scripts.web import connections
from gradstudy.scripts.web.application import protected
from gradstudy.scripts.web.gate import Gate
from gradstudy.scripts.web.headers import PROTECTING, Environ, StartResponse
from gradstudy.scripts.web.hosts import Hosts
from gradstudy.scripts.web.password import FREE_GUESSES, Password
from gradstudy.scripts.web.server import WebServer, resolve

PASSWORD = "open-sésame:x"
Start = Callable[..., int]


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    body = f"{environ['REQUEST_METHOD']} {len(environ['wsgi.input'].read())}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a server; returns its port."""
    with ExitStack() as stack:

        def begin(
            *allowed: str, password: str | None = None, writable: bool = False, listening: str = "127.0.0.1"
        ) -> int:
            gate = Gate(Hosts(listening, allowed), None if password is None else Password(password), writable)
            server = WebServer(resolve("127.0.0.1", 0), protected(echo), gate)
            stack.enter_context(server.serving())
            return int(server.url.rsplit(":")[-1].strip("/"))

        yield begin


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "localhost.", "a.localhost", "127.0.0.1", "127.0.0.1:80", "[::1]:8080",
             "192.0.2.7", "gpu7.lab", "GPU7.lab:443", "dash.example.org"],
)  # fmt: skip
def test_it_answers_to_addresses_and_names_of_its_own(start: Start, host: str) -> None:
    assert ask(start("dash.example.org", listening="gpu7.lab"), request(host=host)).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost", "127.1", "2130706433",
             "dash.example.org.evil"],
)  # fmt: skip
def test_it_does_not_answer_to_a_name_that_was_made_to_point_here(start: Start, host: str) -> None:
    refused = ask(start("dash.example.org"), request(host=host))
    assert refused.status == 403
    reason = f"this dashboard does not answer to the name {host}; start it with --allow-host NAME"
    assert json.loads(refused.body) == {"error": reason, "reason": reason}


@pytest.mark.parametrize(
    "host", [None, "", "a b", "user@localhost", "localhost:x", "localhost:999999", "localhost/", "é"]
)
def test_a_host_that_is_none_is_refused(start: Start, host: str | None) -> None:
    assert ask(start(), request(host=host)).status == 400


def test_two_hosts_and_a_host_in_the_target_count(start: Start) -> None:
    port = start()
    assert ask(port, request("/", "Host: evil.example")).status == 400
    assert ask(port, request("http://evil.example/")).status == 403
    assert ask(port, request("http://localhost/")).status == 200


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:8080", "http://localhost:8080", 200),
        ("localhost", "http://localhost:80", 200),
        ("dash.example.org", "https://dash.example.org", 200),
        ("localhost:8080", "https://dash.example.org", 200),  # a proxy in front, which names its own backend
        ("localhost:8080", "http://localhost:3000", 403),
        ("localhost:8080", "http://evil.example", 403),
        ("localhost:8080", "http://127.0.0.1:8080", 403),
        ("localhost:8080", "null", 403),
        ("localhost:8080", "file://", 403),
        ("localhost:8080", "", 403),
        ("localhost:8080", "http://localhost:8080, http://evil.example", 403),
    ],
)
def test_pages_of_other_sites_get_no_answer(start: Start, host: str, origin: str, status: int) -> None:
    port = start("dash.example.org", writable=True)
    for method in ("GET", "POST", "DELETE"):
        assert ask(port, request("/", f"Origin: {origin}", method=method, host=host)).status == status


@pytest.mark.parametrize("name", ["http://x.org", "x.org:80", "*", "", "a b", "x" * 254])
def test_a_name_to_allow_is_a_name(name: str) -> None:
    with pytest.raises(UsageError, match=r"^--allow-host takes a name without scheme and port"):
        Hosts("localhost", [name])


def test_every_answer_keeps_other_sites_from_framing_it(start: Start) -> None:
    port = start(password=PASSWORD)
    for raw in (request(password=PASSWORD), request(), request(method="POST", password=PASSWORD), request(host="evil")):
        headers = ask(port, raw).headers
        assert headers["content-security-policy"] == "frame-ancestors 'none'"
        assert tuple((name, headers[name.lower()]) for name, _ in PROTECTING) == PROTECTING
        assert "server" not in headers


@pytest.mark.parametrize("expects", [[], ["Expect: 100-continue"]])
@pytest.mark.parametrize(
    "length", ["Content-Length: 200000", "Content-Length: 314572800", "Transfer-Encoding: chunked"]
)
def test_a_refusal_does_not_wait_for_the_body(start: Start, length: str, expects: list[str]) -> None:
    port = start(password=PASSWORD)
    for method, password, statuses in (("POST", None, {401, 413}), ("POST", PASSWORD, {403, 413})):
        refused = ask(port, request("/", length, *expects, method=method, password=password))
        assert refused.status in statuses
        assert refused.headers["connection"] == "close"


def test_bodies_and_headers_have_a_limit(start: Start) -> None:
    port = start(writable=True)
    most = connections.LARGEST_BODY - 1
    assert ask(port, request(method="PUT", body=b"x" * most)).body == f"PUT {most}"
    assert ask(port, request("/", f"Content-Length: {most + 1}", method="PUT")).status == 413
    chunks = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    endless = request("/", "Transfer-Encoding: chunked", method="PUT") + 20 * chunks
    assert ask(port, endless).status in {413, 0}
    assert ask(port, request("/", "X: " + "x" * connections.LARGEST_HEADER)).status == 431
    assert ask(port, request("/" + "x" * connections.LARGEST_HEADER)).status == 431


@pytest.mark.parametrize("part", [b"", b"GET / HT", request()[:-2], request("/", "Content-Length: 9", method="PUT")])
def test_a_request_that_does_not_get_ready_is_ended(start: Start, part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SECONDS_FOR_A_REQUEST", 0.0)
    with connected(start(writable=True)) as connection:
        connection.sendall(part)
        assert answer(connection).text == ""


def test_one_byte_now_and_then_does_not_keep_a_connection(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SECONDS_FOR_A_REQUEST", 0.5)
    with connected(start()) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        connection.settimeout(0.01)
        ended = False
        while not ended:
            try:
                connection.sendall(b"x")
                ended = connection.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True


def test_however_many_dawdle_the_next_one_is_answered(start: Start) -> None:
    port = start(password=PASSWORD)
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(port)) for _ in range(connections.CONNECTIONS + 50)]
        for number, connection in enumerate(slow):
            try:
                connection.sendall(b"GET / HTTP/1.1\r\nX: "[: number % 20])
            except ConnectionError:
                continue
        assert ask(port, request(password=PASSWORD)).status == 200
        assert answer(slow[0]).text == ""  # the first that came was the first to go


def test_whoever_guesses_at_the_password_has_to_wait(start: Start) -> None:
    port = start(password=PASSWORD)
    statuses = [ask(port, request(password=f"guess {number}")).status for number in range(FREE_GUESSES + 1)]
    assert statuses == [401] * (FREE_GUESSES + 1)
    refused = ask(port, request(password="one more"))
    assert (refused.status, int(refused.headers["retry-after"]) > 0) == (429, True)
    assert ask(port, request()).status == 401  # to ask without a password is no guess
