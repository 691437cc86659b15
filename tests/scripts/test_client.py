"""Asking a server in place of a database, from a Python without torch and without a database."""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import light_command
import pytest
from api_server import TINY, ApiServer, api_server
from dashboard_process import serving
from typer.testing import Result
from waiting import PATIENCE_SECONDS

from gradstudy.scripts.client import Client
from gradstudy.scripts.errors import NoAnswerError, RefusedError, UsageError
from gradstudy.scripts.options import PASSWORD_VARIABLE
from gradstudy.scripts.server_options import ON_SERVERS, SERVER_PASSWORD_VARIABLE
from gradstudy.storage.frames import read_trials
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import parse_spec

Run = Callable[..., Result]
PASSWORD = "of-the-server"
TINY_FLAGS = ("--task=copy", "--task-option=max_length=4", "--task-option=examples=200", "--hidden=8", "--batch-size=8",
              "--steps=10", "--trials=6", "--cells=lstm", "--strategies=none,norm", "--lr=0.01:1")  # fmt: skip


@pytest.fixture
def server(sqlite_url: str) -> Iterator[ApiServer]:
    with api_server(sqlite_url, password=PASSWORD) as server:
        yield server


@pytest.fixture
def client(server: ApiServer) -> Client:
    return Client(f"{server.url}/", PASSWORD)


def command_of(*words: str) -> list[str]:
    return [sys.executable, light_command.__file__, *words]


def on_a_laptop(*words: str, password: str = PASSWORD) -> "subprocess.CompletedProcess[str]":
    """Run a command where neither torch nor SQLAlchemy can be imported."""
    environment = os.environ | {SERVER_PASSWORD_VARIABLE: password, "COLUMNS": "300"}
    return subprocess.run(
        command_of(*words), capture_output=True, text=True, env=environment, timeout=PATIENCE_SECONDS, check=False
    )


@pytest.mark.slow
def test_a_study_is_launched_on_a_service_and_its_report_is_that_of_the_database(gradstudy: Run) -> None:
    with tempfile.TemporaryDirectory(prefix="gradstudy-") as folder:
        Path(folder).chmod(0o711)  # for the user that PostgreSQL runs as
        options = ("--workers", "1", "--slots", "2", "--writable")
        environment = {PASSWORD_VARIABLE: PASSWORD}
        with serving(str(Path(folder) / "data"), *options, verb="serve", **environment) as service:
            assert service.process.stdout is not None
            storage = shlex.split(service.process.stdout.readline())[-1]
            url = service.url.rstrip("/")
            launched = on_a_laptop("--server", url, "launch", "tiny", *TINY_FLAGS)
            assert launched.returncode == 0, launched.stderr + launched.stdout
            assert f"study tiny on {url}: 6 trials of 10 steps" in launched.stdout
            assert "6/6 done" in launched.stdout
            of_database = gradstudy("report", "tiny", "--format", "json", "--storage", storage)
            answer = json.loads(of_database.stdout)["answer"]
            assert f"{answer['kind']}: {answer['setting']}" in launched.stdout
            there = on_a_laptop("--server", url, "report", "tiny", "--format", "json")
            assert json.loads(there.stdout) == json.loads(of_database.stdout)
            shown = on_a_laptop("report", "tiny", "--server", url).stdout
            assert shown.splitlines() == gradstudy("report", "tiny", "--storage", storage).stdout.splitlines()
            extended = on_a_laptop("--server", url, "extend", "tiny", "--steps", "40", "--top", "1", "--runs", "1")
            assert extended.returncode == 0, extended.stderr + extended.stdout
            assert "40 steps: 2/2 done" in extended.stdout
            status = on_a_laptop("status", "--server", url)
            assert status.stdout == gradstudy("status", "--storage", storage).stdout
            assert PASSWORD not in launched.stdout + launched.stderr + extended.stdout
            code, out, err = service.stop(signal.SIGTERM)
            assert (code, "Traceback" in err + out) == (130, False)


def test_the_client_does_what_the_interface_can(server: ApiServer, client: Client) -> None:
    launched = client.launch({"name": "mine", **TINY})
    assert (launched.is_new, launched.study) == (True, client.study("mine"))
    assert client.launch({"name": "mine"}).is_new is False
    assert [study.name for study in client.studies()] == ["mine"]
    assert client.report("mine")["answer"]["code"] is None
    assert list(client.trials("mine")) == []
    assert client.stop("mine").budget == 0
    client.delete("mine")
    assert client.studies() == []


def test_every_study_is_listed_and_every_trial_read_however_many_pages(
    client: Client, server: ApiServer, monkeypatch: pytest.MonkeyPatch, finished_file: Path
) -> None:
    for number in range(103):
        create_or_resume(server.database, parse_spec({"name": f"n{number}", **TINY}))
    assert [study.name for study in client.studies()] == [f"n{number}" for number in range(103)]
    with api_server(f"sqlite:///{finished_file}") as finished:
        monkeypatch.setattr("gradstudy.scripts.client.PAGE", 3)
        numbers = [trial["number"] for trial in Client(finished.url).trials("s")]
        assert numbers == read_trials(finished.database, "s")["number"].tolist()


def test_what_the_server_refuses_is_its_sentence(server: ApiServer, client: Client) -> None:
    with pytest.raises(RefusedError, match=rf"^{server.url} says: there is no study 'none'$"):
        client.study("none")
    with pytest.raises(RefusedError, match="says: name must be 1 to"):
        client.launch({"name": "a/b"})
    with pytest.raises(RefusedError, match=r"says: this is not the password$"):
        Client(server.url, "another").studies()
    with pytest.raises(UsageError, match=r"^what is sent must be what JSON has"):
        client.launch({"name": "x", "momentum": float("nan")})


@pytest.mark.parametrize("url", ["localhost:80", "ftp://x", "http://", "http://x:port", "http://x?y", "", "http://[x"])
def test_what_is_no_url_of_a_server_is_said(url: str) -> None:
    with pytest.raises(UsageError, match=r"^the URL of a server is http://HOST:PORT or https://HOST"):
        Client(url)


def test_a_password_in_a_url_is_not_repeated(gradstudy: Run) -> None:
    result = gradstudy("--server", "http://me:s3cret@host", "status")
    assert result.exit_code == 2
    assert "has no password in it" in result.stderr
    assert "s3cret" not in result.output


def test_a_server_that_does_not_answer_is_said(gradstudy: Run) -> None:
    result = gradstudy("--server", "http://127.0.0.1:9", "status")
    assert result.exit_code == 1
    assert result.stderr.startswith("gradstudy: the server at http://127.0.0.1:9 does not answer: ")
    with pytest.raises(NoAnswerError):
        Client("http://127.0.0.1:9").studies()


def test_a_password_comes_from_a_file_or_the_environment(
    gradstudy: Run, server: ApiServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "secret").write_text(f"{PASSWORD}\n")
    with_file = ("--server", server.url, "--password-file", "secret")
    assert gradstudy("status", *with_file).stdout == f"{server.url} holds no studies yet\n"
    assert gradstudy(*with_file, "status").exit_code == 0
    assert "a password is needed" in gradstudy("status", "--server", server.url).stderr
    monkeypatch.setenv(SERVER_PASSWORD_VARIABLE, PASSWORD)
    assert gradstudy("status", "--server", server.url).exit_code == 0
    assert SERVER_PASSWORD_VARIABLE not in os.environ  # whatever is started from there cannot read it


def test_other_verbs_ask_no_server(gradstudy: Run) -> None:
    for verb in ("replay", "confirm", "query", "serve", "tasks"):
        result = gradstudy("--server", "http://127.0.0.1:9", verb)
        assert result.exit_code == 2
        assert f"`gradstudy {verb}` asks no server" in result.stderr
    assert all(gradstudy(verb, "--help").stdout.count("--server") for verb in ON_SERVERS)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("launch", "x", "--workers", "2"), "--workers has no effect with --server"),
        (("extend", "x", "--device", "cpu"), "--device has no effect with --server"),
        (("launch", "x", "--storage", "sqlite:///x.db"), "--storage has no effect with --server"),
        (("report", "a", "b"), "a server gives no report as a comparison"),
        (("report", "a", "--format", "parquet", "-o", "x"), "a server gives no report as Parquet"),
        (("report", "a", "--axis", "learning_rate=lr"), "--axis has no effect with --server"),
    ],
)
def test_what_has_no_effect_on_a_server_is_said(gradstudy: Run, words: tuple[str, ...], sentence: str) -> None:
    result = gradstudy("--server", "http://127.0.0.1:9", *words)
    assert (result.exit_code, sentence in result.stderr) == (2, True), result.stderr


def test_a_password_file_without_a_server_is_said(gradstudy: Run) -> None:
    result = gradstudy("status", "--password-file", "x")
    assert (result.exit_code, "needs --server URL" in result.stderr) == (2, True)


def test_ctrl_c_leaves_the_study_running_and_says_how_to_end_it(server: ApiServer, client: Client) -> None:
    command = command_of("--server", server.url, "launch", "left", *TINY_FLAGS)
    environment = os.environ | {SERVER_PASSWORD_VARIABLE: PASSWORD, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert any("no worker of the server is alive" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, err) == (130, "")
    assert f"to end it: gradstudy --server {server.url} stop left" in " ".join(out.split())
    assert client.study("left").is_open
    ended = on_a_laptop("--server", server.url, "stop", "left")
    assert ended.stdout == "study left ends with the 0 trials that have begun\n"
    assert not client.study("left").is_open
    gone = on_a_laptop("--server", server.url, "delete", "left", "--yes")
    assert gone.stdout == "deleted study left with 0 trials\n"


def test_a_file_and_settings_that_run_first_go_along(server: ApiServer, client: Client, folder: Path) -> None:
    (folder / "filed.toml").write_text('task = "copy"\nsteps = 5\n[space]\ncells = ["gru"]\n')
    chosen = "strategy=norm,threshold=1,learning_rate=0.5"
    result = on_a_laptop(
        "launch", str(folder / "filed.toml"), "--trials=4", "--enqueue", chosen, "--detach", "--server", server.url
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"study filed on {server.url}: 5 trials of 5 steps\n"
    assert "GRU, norm at 1, learning rate 0.5: runs first" in result.stderr
    spec = client.study("filed").spec
    assert spec is not None
    assert (spec["steps"], spec["trials"], spec["space"]["cells"]) == (5, 4, ["gru"])
