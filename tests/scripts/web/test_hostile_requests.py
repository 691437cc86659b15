"""What nobody who means well sends, to a dashboard that may write: nothing changes, nothing is told, all goes on."""

import json
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from dashboard_process import Served, serving
from raw_http import Answer, ask, request

from gradstudy.scripts.options import PASSWORD_VARIABLE
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials

PASSWORD = "correct horse"
STUDY = "/api/studies/1"
JSON = "Content-Type: application/json"
MIB = 2**20


def let_in(target: str = STUDY, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """A request of somebody who has the password."""
    return request(target, *headers, method=method, body=body, password=PASSWORD)


def of_browser(*headers: str, host: str = "localhost", method: str = "DELETE", target: str = STUDY) -> bytes:
    """What another site makes the browser of somebody send who has the password."""
    return request(target, *headers, method=method, host=host, password=PASSWORD, body=b"{}")


UNKNOWN_HOSTS = (
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.nip.example",
    "127.1",
    "0x7f000001",
    "xn--lcalhost-54a",
)
NO_HOSTS = (
    None,
    "",
    " ",
    "a b",
    "localhost:",
    "localhost:port",
    "localhost:999999",
    "user@localhost",
    "localhost/x",
    "[::1",
    "::1",
    "localhost,evil.example",
    "<script>",
    "a" * 300,
    "\x7f",
    "%6c%6f",
)
ORIGINS = (
    "http://evil.example",
    "https://localhost.evil.example",
    "http://localhost:1",
    "null",
    "",
    "file://",
    "localhost",
    "http://evil.example@localhost",
    "chrome-extension://abc",
    "http://127.0.0.1",
)
CREDENTIALS = (
    "Basic",
    "Basic ",
    "Basic %%%",
    "Basic bWU=",
    "Basic bWU6",
    "Basic Og==",
    "Basic " + "A" * 8000,
    "Bearer x",
    "Digest username=me",
    "basic",
    "Basic é",
    "Negotiate YII=",
    "Basic bWU6Y29ycmVjdA==",
)
UNSAFE = ("DELETE", "POST", "PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND", "X")

TABLE: dict[str, tuple[bytes, set[int]]] = {
    **{f"host {host!r:.40}": (of_browser(host=host), {403}) for host in UNKNOWN_HOSTS},
    **{f"host {host!r:.40}": (request(host=host, password=PASSWORD), {400}) for host in NO_HOSTS},
    **{f"origin {origin!r}": (of_browser(f"Origin: {origin}"), {403}) for origin in ORIGINS},
    **{
        f"form from {origin!r}": (of_browser(f"Origin: {origin}", "Content-Type: text/plain", method="POST"), {403})
        for origin in ORIGINS
    },
    **{f"without password: {method}": (request(STUDY, method=method), {401}) for method in UNSAFE},
    **{
        f"credentials {given!r:.40}": (request(STUDY, f"Authorization: {given}", method="DELETE"), {401, 429})
        for given in CREDENTIALS
    },
    "two hosts": (let_in("/", "Host: evil.example"), {400}),
    "a host in the target": (let_in("http://evil.example/api/studies"), {403}),
    "a target that is an authority": (let_in("evil.example:80", method="CONNECT"), {400, 404}),
    "forwarded for another host": (
        let_in("/", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example"),
        {200},
    ),
    "a method by another header": (let_in(STUDY, "X-HTTP-Method-Override: DELETE"), {200}),
    # Paths
    **{
        f"path {path!r:.60}": (let_in(path), {302, 400, 403, 404, 405, 500})
        for path in (
            "/static/../../../../../../etc/passwd",
            "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
            "/static/..%2f..%2fetc%2fpasswd",
            "/static/..%5c..%5cetc",
            "/static//etc/passwd",
            "//etc/passwd",
            "/../gradstudy.db",
            "/%00",
            "/%",
            "/%zz",
            "/%ff%fe",
            "/" + "a" * 8000,
            "/<script>alert(1)</script>",
            "/%3Cscript%3E",
            "*",
            "/.git/config",
            "/artifacts/1/../../x",
            "/artifacts/1/1",
            "/api/studies/x",
            "/api/studies/-1",
            "/api/studies/0",
            "/api/studies/99999999999999999999999",
            "/api/studies/1%00",
            "/api/studies/1e3",
            "/api/studies/1'%20OR%201=1",
            "/api/studies/1;drop%20table%20trials",
            "/api/studies/1?after=x",
            "/api/studies/1?after=-1",
            "/api/studies/1/plot/nope",
            "/csv/999",
            "/csv/x",
        )
    },
    # Bodies
    "300 MiB said": (let_in("/api/studies/1/note", "Content-Length: 314572800", method="PUT"), {413}),
    **{
        f"length {length!r}": (let_in("/", f"Content-Length: {length}", method="POST"), {400})
        for length in ("-1", "x", "1e3", "0x10", "+5", "5, 6", "5,5", "\xb2")
    },
    **{
        f"transfer {coding!r}": (let_in("/", f"Transfer-Encoding: {coding}", method="POST"), {400, 404, 405, 501, 0})
        for coding in ("gzip", "chunked, gzip", "identity", "xchunked", "\x0bchunked")
    },
    "chunks that are none": (let_in("/", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n\r\n", {400}),
    "a chunk of 2**64": (let_in("/", "Transfer-Encoding: chunked", method="POST") + b"ffffffffffffffff\r\n", {0}),
    "chunks without end": (
        let_in("/", "Transfer-Encoding: chunked", method="POST") + b"10000\r\n" + b"x" * MIB,
        {400, 413, 0},
    ),
    "a request within a body": (let_in("/api/studies", method="GET", body=request(STUDY, method="DELETE")), {200}),
    **{
        f"JSON {body!r:.30}": (let_in("/api/studies", JSON, method="POST", body=body), {400, 500})
        for body in (
            b"{",
            b"[]",
            b'"x"',
            b"null",
            b"{}",
            b"\xff\xfe",
            b'{"study_name": null, "directions": "x"}',
            b"[" * 9000,
            b"1e999",
            b'{"study_name": "x", "directions": ["sideways"]}',
        )
    },
    **{
        f"note {body!r:.30}": (let_in("/api/studies/1/note", JSON, method="PUT", body=body), {400, 409, 500})
        for body in (b"[]", b'{"version": "x", "body": 1}', b'{"version": -1, "body": "x"}')
    },
    "a trial that is not": (
        let_in("/api/trials/99999999/tell", JSON, method="POST", body=b'{"state": "Fail"}'),
        {404, 500},
    ),
    # Lines
    "nothing": (b"", {0}),
    "zeros": (bytes(100), {0}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)) + b"\r\n\r\n", {400}),
    "SSH": (b"SSH-2.0-x\r\n\r\n", {400}),
    "HTTP/0.9": (b"GET /\r\n\r\n", {400, 401}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 401}),
    "HTTP/9.9": (request(version="HTTP/9.9"), {400, 401}),
    "small letters": (request(method="get"), {400}),
    "no version": (request(version=""), {400, 401}),
    "two blanks": (request("/  /"), {400}),
    "lines of another system": (b"GET / HTTP/1.1\nHost: localhost\n\n", {0}),
    "a header without colon": (request("/", "Nonsense"), {400}),
    "a header without name": (request("/", ": x"), {400}),
    "a blank before the colon": (request("/", "Content-Length : 5"), {400}),
    "a folded header first": (b"GET / HTTP/1.1\r\n x: y\r\nHost: localhost\r\n\r\n", {400}),
    "a bare line feed": (request("/", "X: a\nHost: evil.example"), {400}),
    "a bare carriage return": (request("/", "X: a\rb"), {400}),
    "a NUL in a header": (request("/", "X: \x00"), {400}),
    "a header of 20 KB": (request("/", "X: " + "x" * 20_000), {431}),
    "2,000 headers": (request("/", *[f"X{number}: y" for number in range(2000)]), {431}),
    "a mebibyte in the first line": (request("/" + "x" * MIB), {431, 0}),
}


@pytest.fixture(scope="module")
def database(finished_file: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{shutil.copy(finished_file, tmp_path_factory.mktemp('hostile') / 'gradstudy.db')}"


@pytest.fixture(scope="module")
def served(database: str) -> Iterator[Served]:
    with serving(database, "--writable", **{PASSWORD_VARIABLE: PASSWORD}) as dashboard:
        yield dashboard


def port_of(served: Served) -> int:
    return int(served.url.rsplit(":", 1)[-1].strip("/"))


@pytest.mark.parametrize("name", TABLE)
def test_a_hostile_request_is_answered_with_a_status_alone(served: Served, name: str) -> None:
    raw, statuses = TABLE[name]
    told = ask(port_of(served), raw, then_ends=0 in statuses)
    if told.status == 429:  # this address has guessed too often, which the right password ends
        assert 429 in statuses
        return
    assert told.status in statuses, told.text[:500]
    assert not re.search(r"Traceback|File \"|root:.*:0:|correct|<script>", told.text)


def test_there_are_at_least_a_hundred() -> None:
    assert len(TABLE) >= 100


def test_after_all_of_them_everything_is_as_it_was(served: Served, database: str) -> None:
    def asked() -> Answer:
        return ask(port_of(served), let_in("/api/studies"))

    while (told := asked()).status == 429:
        continue
    assert [study["study_name"] for study in json.loads(told.body)["study_summaries"]] == ["s"]
    with Database.open(database) as opened:
        assert len(read_trials(opened, "s")) == 8
    code, out, err = served.stop(signal.SIGTERM)
    assert (code, out) == (130, "stopping the dashboard\n")
    assert "Traceback" not in err
    assert PASSWORD not in err
    assert "\x1b" not in err
