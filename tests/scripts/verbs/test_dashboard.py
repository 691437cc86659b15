"""The dashboard as a process of its own, asked over HTTP."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dashboard_process import Served, serving
from typer.testing import Result
from waiting import PATIENCE_SECONDS

from gradstudy.scripts.options import PASSWORD_VARIABLE
from gradstudy.scripts.verbs.dashboard import entrance
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials

Run = Callable[..., Result]
PASSWORD = "open-sésame:x"


@pytest.fixture(scope="module")
def storage(finished_file: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database of this module's with the study ``s``."""
    return f"sqlite:///{shutil.copy(finished_file, tmp_path_factory.mktemp('dashboard') / 'gradstudy.db')}"


@pytest.fixture(scope="module")
def served(storage: str) -> Iterator[Served]:
    with serving(storage) as dashboard:
        yield dashboard


def test_a_browser_finds_the_page_and_all_that_it_loads(served: Served) -> None:
    page = served.ask("dashboard")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=UTF-8")
    assert b'src="/static/bundle.js"' in page.body
    assert len(served.ask("static/bundle.js").body) > 1_000_000
    assert served.ask("favicon.ico").status == 200


def test_the_study_is_there_with_its_trials_and_their_outcomes(served: Served, storage: str) -> None:
    (study,) = served.ask("api/studies").json()["study_summaries"]
    assert study["study_name"] == "s"
    trials = served.ask(f"api/studies/{study['study_id']}").json()["trials"]
    with Database.open(storage) as database:
        frame = read_trials(database, "s")
    shown = [{attribute["key"]: attribute["value"] for attribute in trial["user_attrs"]} for trial in trials]
    assert [trial["number"] for trial in trials] == frame["number"].tolist()
    assert [attributes["outcome"] for attributes in shown] == frame["outcome"].tolist()


def test_exactly_the_diverged_trials_have_the_colour_of_infeasible_ones(served: Served, storage: str) -> None:
    trials = served.ask("api/studies/1").json()["trials"]
    with Database.open(storage) as database:
        outcomes = read_trials(database, "s")["outcome"].tolist()
    # As the page tells them: a trial is infeasible when one of its constraints is positive.
    infeasible = [any(constraint > 0 for constraint in trial["constraints"]) for trial in trials]
    assert infeasible == [outcome == "diverged" for outcome in outcomes]
    assert set(infeasible) == {True, False}


def test_the_note_and_the_plots_appear_by_themselves(served: Served) -> None:
    study = served.until("api/studies/1", lambda study: study["note"]["body"])
    assert "8 of 8 trials: " in study["note"]["body"]
    kinds = {"map-gru-none", "map-gru-norm", "map-lstm-none", "map-lstm-norm"}
    kinds |= {"loss-gru", "loss-lstm", "norms-gru", "norms-lstm"}
    assert {plot["id"] for plot in study["plotly_graph_objects"]} == {f"gradstudy-{kind}" for kind in kinds}
    for plot in study["plotly_graph_objects"]:
        assert json.loads(plot["graph_object"])["data"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "api/studies/1", None),
        ("POST", "api/studies", {"study_name": "x", "directions": ["minimize"]}),
        ("POST", "api/studies/1/rename", {"study_name": "x"}),
        ("PUT", "api/studies/1/note", {"version": 99, "body": "x"}),
        ("PATCH", "api/studies/1", {}),
        ("FLY", "api/studies/1", {}),
    ],
)
def test_changes_are_refused(served: Served, method: str, path: str, body: Any) -> None:
    answer = served.ask(path, method, body)
    assert (answer.status, answer.json()["reason"]) == (403, "this dashboard is read-only; start it with --writable")
    assert [study["study_name"] for study in served.ask("api/studies").json()["study_summaries"]] == ["s"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_in_order(storage: str, number: signal.Signals) -> None:
    with serving(storage) as dashboard:
        assert dashboard.stop(number) == (130, "stopping the dashboard\n", "")


@pytest.fixture(scope="module", params=["environment", "file"])
def protected(
    storage: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Served]:
    if request.param == "environment":
        with serving(storage, **{PASSWORD_VARIABLE: PASSWORD}) as dashboard:
            yield dashboard
    else:
        file = tmp_path_factory.mktemp("password") / "password"
        file.write_text(f"{PASSWORD}\n", encoding="utf-8")
        with serving(storage, "--host", "0.0.0.0", "--password-file", str(file)) as dashboard:
            yield dashboard


def test_only_the_right_password_opens(protected: Served) -> None:
    for wrong in (None, "", "x", PASSWORD[:-1], PASSWORD + "x"):
        answer = protected.ask("api/studies", password=wrong)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="gradstudy", charset="UTF-8"'
    assert protected.ask("api/studies", password=PASSWORD).status == 200
    assert protected.ask("dashboard", password=PASSWORD).status == 200
    assert protected.ask("api/studies/1", "DELETE", password="x").status == 401
    assert protected.ask("api/studies/1", "DELETE", password=PASSWORD).status == 403


@pytest.mark.parametrize("header", ["Basic", "Basic %%%", "Basic bWU=", "Bearer x", "Basic ä"])
def test_credentials_that_are_none_are_refused(protected: Served, header: str) -> None:
    request = urllib.request.Request(protected.url, headers={"Authorization": header})
    with pytest.raises(urllib.error.HTTPError, match="401") as caught:
        urllib.request.urlopen(request, timeout=PATIENCE_SECONDS)
    caught.value.close()


def test_the_password_is_never_printed(protected: Served) -> None:
    protected.ask("api/studies", password=PASSWORD)
    protected.ask("api/studies", password="x")
    _, out, err = protected.stop(signal.SIGTERM)
    assert PASSWORD not in protected.first_line + out + err
    assert "with password" in protected.first_line


def test_processes_that_are_started_later_do_not_get_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    _, gate = entrance("127.0.0.1", 0, None, None, writable=False)
    assert gate.password is not None
    inherited = subprocess.run(
        [sys.executable, "-c", "import os; print(dict(os.environ))"], capture_output=True, text=True
    )
    assert "PATH" in inherited.stdout
    assert PASSWORD_VARIABLE not in inherited.stdout


@pytest.fixture
def refused(gradstudy: Run) -> Callable[..., str]:
    """The one sentence that a command line ends with."""

    def run(*words: str, code: int = 2) -> str:
        result = gradstudy("dashboard", *words)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1)
        return result.stderr.removeprefix("gradstudy: ").rstrip("\n")

    return run


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_leaving_this_machine_needs_a_password(finished: Database, refused: Callable[..., str], host: str) -> None:
    assert refused("--host", host) == (
        f"--host {host} lets other machines in, which needs a password: set {PASSWORD_VARIABLE} or "
        "give --password-file FILE"
    )


def test_what_cannot_be_served_is_said(finished: Database, refused: Callable[..., str], folder: Path) -> None:
    (folder / "empty").touch()
    assert refused("--host", "no such host") == (
        "--host takes a name or an address of this machine, but got 'no such host'"
    )
    assert refused("--password-file", "nowhere") == (
        "--password-file takes a file with a password, but nowhere cannot be read: No such file or directory"
    )
    assert refused("--password-file", "empty") == "--password-file takes a file with a password, but empty is empty"
    assert refused("--allow-host", "http://x.org") == (
        "--allow-host takes a name without scheme and port, such as gpu7.lab, but got 'http://x.org'"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused("--port", str(port), code=1) == f"cannot listen on 127.0.0.1:{port}: Address already in use"


def rows_of(database: Database) -> dict[str, int]:
    tables = ("studies", "trials", "trial_params", "trial_user_attributes", "study_system_attributes",
              "gradstudy_study", "gradstudy_trial", "gradstudy_step")  # fmt: skip
    with database.engine.connect() as connection:
        return {name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one() for name in tables}


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def filled(request: pytest.FixtureRequest, gradstudy: Run, flags: list[str]) -> Iterator[Database]:
    """A database on each kind of server, with a study that has run."""
    url = request.getfixturevalue(f"{request.param}_url")
    assert gradstudy("launch", "s", *flags, "--trials=4", "--storage", url).exit_code == 0
    with Database.open(url) as database:
        yield database


@pytest.mark.sampled
def test_deleting_a_study_in_a_writable_dashboard_leaves_nothing_of_it(filled: Database) -> None:
    with serving(filled.url.render_as_string(hide_password=False), "--writable") as dashboard:
        dashboard.until("api/studies", lambda answer: answer["study_summaries"])
        (study,) = dashboard.ask("api/studies").json()["study_summaries"]
        detail = f"api/studies/{study['study_id']}"
        dashboard.until(detail, lambda study: study["note"]["body"])
        assert all(rows_of(filled).values())
        assert dashboard.ask(detail, "DELETE", {}).status == 204
        assert dashboard.ask("api/studies").json() == {"study_summaries": []}
        code, _, err = dashboard.stop(signal.SIGTERM)
    assert (code, err) == (130, "")
    assert not any(rows_of(filled).values())
