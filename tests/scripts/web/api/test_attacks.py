"""Requests of people who do not mean well, or not what they send: a status, a sentence, and nothing of the server."""

import asyncio
import base64
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_server import TINY, ApiServer, Told, api_server
from raw_http import ask, request
from waiting import PATIENCE_SECONDS

from gradstudy.models.user_module.trusted import trusting_only
from gradstudy.scripts.web import connections
from gradstudy.scripts.web.password import FREE_GUESSES

PASSWORD = "correct horse battery"
JSON = "Content-Type: application/json"
MIB = 2**20
BURST = 1000
LOOKS_LIKE_OURS = re.compile(r"Traceback|File \"|site-packages|\.py\b|sqlite:|battery|/work|gradstudy\.db|study\.db")


@pytest.fixture(scope="module")
def storage(sqlite_template: Path) -> str:
    return f"sqlite:///{sqlite_template.with_name('attacked.db')}"


@pytest.fixture(scope="module")
def server(storage: str) -> Iterator[ApiServer]:
    """One that may write, and that imports from nowhere."""
    with trusting_only([]), api_server(storage, password=PASSWORD) as server:
        assert server.ask("POST", "/studies", {"spec": {"name": "there", **TINY}}).status == 201
        yield server


def refused(told: Told, *statuses: int) -> str:
    """The sentence of an answer, which is one that nothing can be learned from."""
    assert told.status in statuses, told.body[:300]
    text = told.error
    assert not LOOKS_LIKE_OURS.search(text), text
    assert text == text.strip()
    assert "\n" not in text
    assert len(text) < 2100
    return text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/studies"),
        ("POST", "/studies"),
        ("DELETE", "/studies/there"),
        ("GET", "/openapi.json"),
        ("GET", "/nope"),
    ],
)
def test_without_the_password_nothing_is_told(server: ApiServer, method: str, path: str) -> None:
    told = ask(server.port, request(f"/api/v1{path}", method=method))
    assert told.status == 401
    assert json.loads(told.body)["error"] == "a password is needed"


def test_who_guesses_has_to_wait(sqlite_url: str) -> None:
    with api_server(sqlite_url, password=PASSWORD) as server:
        raw = [request("/api/v1/studies", password=f"guess {number}") for number in range(FREE_GUESSES + 2)]
        told = [ask(server.port, each) for each in raw]
    assert [each.status for each in told] == [401] * (FREE_GUESSES + 1) + [429]
    assert json.loads(told[-1].body)["error"].startswith("too many wrong passwords; try again in ")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/studies"),
        ("POST", "/studies/there/stop"),
        ("POST", "/studies/there/extend"),
        ("DELETE", "/studies/there"),
    ],
)
def test_who_may_only_read_changes_nothing(sqlite_url: str, method: str, path: str) -> None:
    with api_server(sqlite_url, writable=False) as server:
        assert "read-only" in refused(server.ask(method, path, {}), 403)
        assert server.ask("GET", "/studies").json["total"] == 0


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Origin: http://evil.example", 403),
        ("Origin: null", 403),
        ("Host: evil.example", 400),  # a second one
        ("Content-Type: text/plain", 415),
        ("Content-Type: application/x-www-form-urlencoded", 415),
        ("Content-Type: multipart/form-data; boundary=x", 415),
        ("Content-Type: text/plain; application/json", 415),
        ("X-Nothing: here", 415),
    ],
)
def test_the_form_of_another_site_launches_nothing(server: ApiServer, header: str, status: int) -> None:
    body = json.dumps({"spec": {"name": "csrf", **TINY}}).encode()
    told = ask(server.port, request("/api/v1/studies", header, method="POST", password=PASSWORD, body=body))
    assert told.status == status
    assert json.loads(told.body)["error"]
    assert server.ask("GET", "/studies/csrf").status == 404


def test_a_name_that_was_made_to_point_here_gets_no_answer(server: ApiServer) -> None:
    told = ask(server.port, request("/api/v1/studies", host="evil.example", password=PASSWORD))
    assert told.status == 403
    assert json.loads(told.body)["error"].startswith("this dashboard does not answer to the name evil.example")


@pytest.mark.parametrize("size", [100 * MIB, 10**30])
def test_a_body_that_is_too_long_is_refused_before_it_is_read(server: ApiServer, size: int) -> None:
    raw = request("/api/v1/studies", JSON, f"Content-Length: {size}", method="POST", password=PASSWORD)
    told = ask(server.port, raw)  # of which not a byte is sent
    assert told.status == 413
    assert json.loads(told.body)["error"] == "the body of a request has less than 256 KiB"


BODIES = {
    b"": 422,
    b"{": 400,
    b"[]": 422,
    b'"x"': 422,
    b"null": 422,
    b"1": 422,
    b"\xff\xfe{}": 400,
    b'{"spec": NaN}': 400,
    b'{"spec": {"name": "n", "momentum": NaN}}': 400,
    b'{"spec": {"name": "n", "momentum": Infinity}}': 400,
    b'{"spec": {"name": "n", "momentum": 1e999}}': 422,
    b'{"spec": {"name": "\\ud800"}}': 400,
    b'{"spec": {"name": "n"}} trailing': 400,
    b"[" * 100_000: 400,
    b'{"a":' * 20_000: 400,
    b'{"spec":' + b"[" * 150 + b"]" * 150 + b"}": 422,
    b'{"spec": {"name": "n", "space": ' + b'{"a":' * 150 + b"1" + b"}" * 152: 422,
    b'{"spec": {"name": "n", "steps": ' + b"9" * 5000 + b"}}": 400,
    b'{"spec": {}, "toml": ""}': 422,
    b"{}": 422,
    b'{"spec": "x"}': 422,
    b'{"spec": []}': 422,
    b'{"specification": {}}': 422,
    b'{"toml": 1}': 422,
    b'{"toml": "= = ="}': 422,
    b'{"toml": "' + b"a=" + b"[" * 50_000 + b'"}': 422,
    b'{"toml": "name = \\"a\\\\u0000b\\""}': 422,
    b'{"spec": {"name": "n"}, "enqueue": {}}': 422,
    b'{"spec": {"name": "n"}, "enqueue": [1]}': 422,
    b'{"spec": {"name": "n"}, "enqueue": [{"strategy": []}]}': 422,
}


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:40].decode("latin-1"))
def test_a_body_that_is_no_launch_is_refused(server: ApiServer, body: bytes) -> None:
    refused(server.ask("POST", "/studies", body), BODIES[body])
    assert server.ask("GET", "/studies/n").status == 404


NAMES = ("", ".", "..", "a/b", "../../etc/passwd", "a b", "é", "\u202eabc", "😀", "a\nb", "a\x00b", "\x1b[31m",
         "<script>", "-", "a" * 10_000, "'; DROP TABLE studies; --", "%s%s", "{0}", "con\r\nSet-Cookie: x")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_no_study_can_have_is_refused(server: ApiServer, name: str) -> None:
    text = refused(server.ask("POST", "/studies", {"spec": {**TINY, "name": name}}), 422)
    assert "name must be 1 to" in text
    assert text.isprintable()


@pytest.mark.parametrize("name", ["%00", "%0d%0aX:%20y", "%1b[31m", "%ff%fe", "..%2f..%2fetc", "%e2%80%ae",
                                  "%3Cscript%3E", "%F0%9F%98%80", "a" * 8000, "x%20", "x%27%20OR%201=1"])  # fmt: skip
@pytest.mark.parametrize("rest", ["", "/trials", "/report", "/stop"])
def test_a_name_of_no_study_in_a_path_is_not_found(server: ApiServer, name: str, rest: str) -> None:
    method = "POST" if rest == "/stop" else "GET"
    told = server.ask(method, f"/studies/{name}{rest}", {} if method == "POST" else None)
    assert refused(told, 404).isprintable()


WRONG = (
    None,
    True,
    -1,
    0,
    1.5,
    1e300,
    10**25,
    "x",
    "",
    "\x00",
    "é" * 2000,
    [],
    [[]],
    [None],
    {},
    {"x": {}},
    [1, "x"],
    ["x"] * 5000,
)
FIELDS = (
    "preset",
    "task",
    "task_options",
    "task_folder",
    "file_digest",
    "loss",
    "model",
    "optimizer",
    "momentum",
    "epsilon",
    "schedule",
    "warmup",
    "halve_every",
    "precision",
    "steps",
    "horizon",
    "batch_size",
    "trials",
    "seeds",
    "sampler",
    "pruner",
    "frontier_width",
    "seed",
    "guard",
    "own_draws",
    "space",
    "divergence",
    "space.cells",
    "space.strategies",
    "space.learning_rate",
    "space.thresholds",
    "space.factors",
    "space.hyperparameters",
    "space.scale_to",
    "space.factors.hidden_size",
    "space.thresholds.norm",
    "space.hyperparameters.beta2",
    "model.hidden_size",
    "model.attention",
    "unknown",
)
# fmt: on


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_a_wrong_type_is_refused_with_its_reason(server: ApiServer, field: str) -> None:
    spec = {"name": "wrong", **TINY}
    for value in WRONG:
        given = json.loads(json.dumps(spec))
        *parents, last = field.split(".")
        part = given
        for parent in parents:
            part = part.setdefault(parent, {})
        part[last] = value
        told = server.ask("POST", "/studies", {"spec": given})
        if told.status in (200, 201):  # some are what a field takes
            assert server.ask("DELETE", "/studies/wrong").status == 204
        else:
            refused(told, 403, 422)


@pytest.mark.parametrize(
    ("query", "word"),
    [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("limit=1e3", "limit"), ("after=-2", "after"),
     ("after=99999999999999999999", "after"), ("limit=1&limit=2", "limit"), ("nope=1", "nope"), ("limit=%00", "limit"),
     ("limit=", "limit")],
)  # fmt: skip
def test_a_query_that_is_none_is_refused(server: ApiServer, query: str, word: str) -> None:
    assert word in refused(server.ask("GET", f"/studies/there/trials?{query}"), 422)
    assert "format" in refused(server.ask("GET", "/studies/there/report?format=exe"), 422)
    assert refused(server.ask("GET", "/studies?%ff=%fe"), 400, 422)


@pytest.mark.parametrize(
    "method", ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "OPTIONS"],
)  # fmt: skip
def test_a_method_that_is_not_taken_is_said_with_those_that_are(server: ApiServer, method: str) -> None:
    told = server.ask(method, "/studies")
    assert "GET" in refused(told, 405)
    assert "POST" in told.headers["allow"]


@pytest.mark.parametrize(
    "path", ["", "/", "/studies/", "/studies/there/", "/studies/there/nope", "//studies", "/../studies", "/%2e%2e"]
)
def test_what_is_not_there_is_said(server: ApiServer, path: str) -> None:
    refused(server.ask("GET", path), 404)


OUTSIDE = (
    {"task": "pairs:/etc/passwd"},
    {"task": "series:/etc/passwd"},
    {"task": "pairs:relative.tsv"},
    {"task": "pairs:../../etc/passwd"},
    {"task": "pairs:/proc/self/environ"},
    {"task": "pairs:/dev/zero"},
    {"task": "pairs:/etc/passwd,/etc/group"},
    {"task": "pairs:\x00"},
    {"task": "pairs:file:///etc/passwd"},
    {"task": "module:os:system"},
    {"task": "module:subprocess:Popen"},
    {"task": "module:antigravity:geohash"},
    {"task": "module:gradstudy.scripts.main:app"},
    {"task": "module:torch.nn:LSTM"},
    {"task": "copy", "task_folder": "/etc"},
    {"task": "copy", "task_folder": "."},
    {"task": "module:evil:build", "task_folder": "/tmp"},
)


@pytest.mark.parametrize("named", OUTSIDE, ids=str)
def test_a_spec_that_names_files_or_modules_is_not_taken(server: ApiServer, named: dict[str, str]) -> None:
    text = refused(server.ask("POST", "/studies", {"spec": {"name": "named", **named}}), 403)
    assert "--allow-modules" in text
    assert server.ask("GET", "/studies/named").status == 404


def test_files_and_modules_of_a_folder_that_was_named_are_taken_and_no_way_leads_out_of_it(
    sqlite_url: str, tmp_path: Path
) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    for folder in (inside, outside):
        (folder / "pairs.tsv").write_text("".join(f"{number:b}\t{number}\n" for number in range(100)))
    (inside / "link.tsv").symlink_to(outside / "pairs.tsv")
    (outside / "evil_model.py").write_text("raise SystemExit('imported')\n")
    with trusting_only([str(inside)]), api_server(sqlite_url) as server:

        def launched(task: str, **more: str) -> Told:
            return server.ask("POST", "/studies", {"spec": {"name": "own", "task": task, "batch_size": 8, **more}})

        for path in (outside / "pairs.tsv", inside / ".." / "outside" / "pairs.tsv", inside / "link.tsv"):
            assert "--allow-modules" in refused(launched(f"pairs:{path}"), 403)
        assert "--allow-modules" in refused(launched("module:evil_model:build"), 403)
        assert "--allow-modules" in refused(launched("module:evil_model:build", task_folder=str(outside)), 403)
        told = launched(f"pairs:{inside / 'pairs.tsv'}")
        assert told.status == 201, told.error
        assert told.json["study"]["task"] == f"pairs:{inside / 'pairs.tsv'}"
        assert launched(f"pairs:{inside / 'nothing.tsv'}").status == 422


MODEL = """
import torch

def build(seed, width=4):
    model = torch.nn.Linear(3, width)
    batches = [torch.randn(2, 3) for _ in range(4)]
    return model, batches, lambda model, batch: model(batch).pow(2).mean()

def ends(seed):
    raise SystemExit("s3cret")

def fails(seed):
    raise KeyError("s3cret")
"""


def test_a_model_of_a_folder_that_was_named_is_launched_and_what_it_does_wrong_is_said(
    sqlite_url: str, tmp_path: Path
) -> None:
    (tmp_path / "model_over_http.py").write_text(MODEL)
    own = {"space": {"strategies": ["none", "norm"]}, "steps": 5, "trials": 4}
    with trusting_only([str(tmp_path)]), api_server(sqlite_url) as server:

        def launched(name: str, **more: object) -> Told:
            spec = {"name": name, "task": f"module:model_over_http:{name}", **own, **more}
            return server.ask("POST", "/studies", {"spec": spec})

        told = launched("build", task_options={"width": 2})
        assert told.status == 201, told.error
        assert told.json["study"]["spec"]["task_folder"] == str(tmp_path)
        assert told.json["study"]["spec"]["task_options"] == {"width": 2}
        for name in ("ends", "fails", "is_not_there"):
            wrong = launched(name)
            assert wrong.status in (422, 500)
            assert "Traceback" not in wrong.error
        assert server.ask("GET", "/studies").json["total"] == 1


def test_a_thousand_at_once_are_answered_and_the_server_goes_on(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("SECONDS_TO_BEGIN", "SECONDS_FOR_A_REQUEST"):  # client and server share a core
        monkeypatch.setattr(connections, limit, PATIENCE_SECONDS)
    kinds = {
        request("/api/v1/studies/there", password=PASSWORD): b"200",
        request("/api/v1/studies/nobody", password=PASSWORD): b"404",
        request("/api/v1/studies", password=PASSWORD, method="POST", body=b"{}"): b"415",
        request("/api/v1/studies/there"): b"401",
    }

    async def one(raw: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(raw)
        told = await reader.read()
        writer.close()
        return told

    async def all_at_once() -> list[bytes]:
        return await asyncio.gather(*(one(raw) for raw in [*kinds] * (BURST // len(kinds))))

    told = asyncio.run(all_at_once())
    assert [each[9:12] for each in told] == [*kinds.values()] * (BURST // len(kinds))
    assert server.ask("GET", "/studies/there").status == 200


def test_a_connection_that_breaks_off_costs_nothing(server: ApiServer) -> None:
    credentials = base64.b64encode(f":{PASSWORD}".encode()).decode()
    head = f"POST /api/v1/studies HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nAuthorization: Basic {credentials}\r\n"
    for part in (f"{head}Content-Length: 100\r\n\r\n{{", f"{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{"):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(part.encode())
    assert server.ask("GET", "/studies").json["total"] == 1
