"""What can be asked of the JSON interface, compared with the database that it is of."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import tomli_w
from api_server import TINY, ApiServer, api_server
from typer.testing import Result

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import REMAINING, count_outcomes
from gradstudy.storage.set_aside import Reason, reasons, set_aside
from gradstudy.storage.studies import find_study
from gradstudy.storage.workers import register_worker
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import parse_spec

Run = Callable[..., Result]


@pytest.fixture
def server(sqlite_url: str) -> Iterator[ApiServer]:
    with api_server(sqlite_url) as server:
        yield server


@pytest.fixture
def of_finished(finished_file: Path, folder: Path) -> Iterator[ApiServer]:
    """A server of the study ``s``, which has run."""
    with api_server(f"sqlite:///{shutil.copy(finished_file, folder / 'gradstudy.db')}") as server:
        yield server


@pytest.fixture(params=["sqlite_url", "postgresql_url", "mariadb_url"])
def on_each(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    with api_server(request.getfixturevalue(request.param)) as server:
        yield server


def test_a_study_is_launched_looked_at_extended_stopped_and_deleted_on_every_database(on_each: ApiServer) -> None:
    launched = on_each.ask("POST", "/studies", {"spec": {"name": "mine", **TINY}})
    assert (launched.status, launched.json["is_new"]) == (201, True)
    expected = parse_spec({"name": "mine", **TINY}).model_dump(mode="json")
    assert find_study(on_each.database, "mine").spec == expected
    study = on_each.ask("GET", "/studies/mine").json
    assert study == launched.json["study"]
    assert study["spec"] == expected
    assert (study["budget"], study["trials"][REMAINING], study["is_open"]) == (6, 6, True)
    assert on_each.ask("GET", "/studies/mine/trials").json == {"study": "mine", "trials": [], "next": None}
    assert "there is nothing to train longer" in on_each.ask("POST", "/studies/mine/extend", {"steps": 100}).error
    stopped = on_each.ask("POST", "/studies/mine/stop", {}).json
    assert (stopped["budget"], stopped["is_open"]) == (0, False)
    assert on_each.ask("DELETE", "/studies/mine").status == 204
    gone = on_each.ask("GET", "/studies/mine")
    assert (gone.status, gone.error) == (404, "there is no study 'mine'")


def test_the_same_spec_again_is_no_new_study_and_another_one_is_refused(server: ApiServer) -> None:
    spec = {"name": "mine", **TINY}
    server.ask("POST", "/studies", {"spec": spec})
    set_aside(server.database.engine, find_study(server.database, "mine"), Reason("elsewhere", "no file", None))
    assert server.ask("GET", "/studies/mine").json["set_aside"] == [
        {"host": "elsewhere", "reason": "no file", "waits_for_code": False}
    ]
    for again in ({"spec": spec}, {"toml": tomli_w.dumps(spec)}, {"spec": {"name": "mine"}}):
        told = server.ask("POST", "/studies", again)
        assert (told.status, told.json["is_new"]) == (200, False)
    assert reasons(server.database.engine) == {}  # whoever launches it anew has it tried again
    changed = server.ask("POST", "/studies", {"spec": spec | {"steps": 11}})
    assert changed.status == 409
    assert "steps: 10 -> 11" in changed.error


def test_what_has_no_effect_and_what_runs_first_is_said(server: ApiServer) -> None:
    spec = {"name": "mine", **TINY, "model": {"hidden_size": 8, "forget_bias": 1.0}}
    spec["space"] = {"cells": ["gru"], "strategies": ["norm"]}
    setting = {"threshold": 1, "learning_rate": 0.5}
    told = server.ask("POST", "/studies", {"spec": spec, "enqueue": [setting]})
    assert told.json["notes"][0].startswith("model.forget_bias has no effect, because no LSTM is searched")
    assert told.json["notes"][-1] == "GRU, norm at 1, learning rate 0.5: runs first"
    assert told.json["study"]["budget"] == 7


def test_a_setting_that_cannot_run_makes_no_study(server: ApiServer) -> None:
    told = server.ask("POST", "/studies", {"spec": {"name": "mine", **TINY}, "enqueue": [{"strategy": "agc"}]})
    assert (told.status, server.ask("GET", "/studies").json["total"]) == (422, 0)
    assert "strategy of a chosen setting must be one that the study searches, none, norm" in told.error


def test_studies_come_a_page_at_a_time(server: ApiServer) -> None:
    for number in range(5):
        create_or_resume(server.database, parse_spec({"name": f"n{number}", **TINY}))
    register_worker(server.database.engine, "gpu7", 1, "cuda")
    names, offset = [], 0
    while offset is not None:
        page = server.ask("GET", f"/studies?offset={offset}&limit=2").json
        assert page["total"] == 5
        assert {study["workers"][0]["host"] for study in page["studies"]} == {"gpu7"}
        names += [study["name"] for study in page["studies"]]
        offset = page["next"]
    assert names == ["n0", "n1", "n2", "n3", "n4"]
    assert server.ask("GET", "/studies?offset=99").json["studies"] == []


def test_trials_are_the_rows_of_the_view(of_finished: ApiServer) -> None:
    rows: list[dict[str, Any]] = []
    after: int | None = -1
    while after is not None:
        page = of_finished.ask("GET", f"/studies/s/trials?limit=3&after={after}").json
        rows, after = [*rows, *page["trials"]], page["next"]
    frame = read_trials(of_finished.database, "s", excluded=True)
    assert [row["number"] for row in rows] == frame["number"].tolist() == list(range(8))
    assert [row["outcome"] for row in rows] == frame["outcome"].tolist()
    assert [row["learning_rate"] for row in rows] == frame["learning_rate"].tolist()
    assert [row["started_at"] for row in rows] == [moment.isoformat() for moment in frame["started_at"]]
    assert {tuple(row) for row in rows} == {tuple(frame.columns)}


@pytest.mark.parametrize(
    ("form", "kind"),
    [("json", "application/json"), ("markdown", "text/markdown"), ("csv", "text/csv"), ("text", "text/plain")],
)
def test_a_report_is_the_one_of_the_command(of_finished: ApiServer, gradstudy: Run, form: str, kind: str) -> None:
    told = of_finished.ask("GET", f"/studies/s/report?format={form}&width=300")
    assert told.headers["content-type"].startswith(kind)
    of_command = gradstudy("report", "s", "--format", form) if form != "text" else gradstudy("report", "s")
    assert told.body.decode().splitlines() == of_command.stdout.splitlines()


def test_a_report_as_html_is_a_page(of_finished: ApiServer) -> None:
    told = of_finished.ask("GET", "/studies/s/report?format=html")
    assert told.headers["content-type"].startswith("text/html")
    assert told.body.startswith(b"<!doctype html>")


def test_the_best_settings_are_trained_longer_and_stopping_ends_that_too(of_finished: ApiServer) -> None:
    study = of_finished.ask("POST", "/studies/s/extend", {"steps": 320, "top": 1, "runs": 2}).json
    assert [stretch["steps"] for stretch in study["way"]] == [20, 80, 320]
    assert study["is_open"]
    assert study["way"][1]["trials"][REMAINING] > 0
    stopped = of_finished.ask("POST", "/studies/s/stop", {}).json
    assert not stopped["is_open"]
    assert stopped["budget"] == 8
    assert [sum(stretch["trials"].values()) for stretch in stopped["way"]] == [8]


def test_what_waits_is_forgotten_and_what_runs_is_kept_when_a_study_is_stopped(of_finished: ApiServer) -> None:
    setting = {"strategy": "none", "cell": "lstm", "learning_rate": 0.5}
    spec = find_study(of_finished.database, "s").spec
    told = of_finished.ask("POST", "/studies", {"spec": spec, "enqueue": [setting]})
    assert told.status == 200, told.error
    assert told.json["study"]["trials"][REMAINING] == 1
    of_finished.ask("POST", "/studies/s/stop", {})
    counts = count_outcomes(of_finished.database.engine, find_study(of_finished.database, "s"))
    assert (counts[REMAINING], sum(counts.values())) == (0, 8)


def test_of_another_programs_study_there_is_a_report_whatever_its_name(server: ApiServer) -> None:
    name = "mine/é <b>"
    study = optuna.create_study(storage=server.database.url.render_as_string(hide_password=False), study_name=name)
    study.optimize(lambda trial: trial.suggest_float("lr", 1e-3, 1.0, log=True), n_trials=3)
    told = server.ask("GET", "/studies/mine%2F%C3%A9%20%3Cb%3E/report")
    assert (told.status, told.json["study"]) == (200, name)
    study = optuna.create_study(storage=server.database.url.render_as_string(hide_password=False), study_name="plain")
    told = server.ask("POST", "/studies/plain/stop", {})
    assert (told.status, "only its report can be asked for" in told.error) == (409, True)
    told = server.ask("POST", "/studies", {"spec": {"name": "plain", **TINY}})
    assert told.status in (200, 201, 409)  # one without trials is taken over, as ``launch`` does


def test_the_file_of_a_database_is_not_named_where_it_is_gone(server: ApiServer, sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    server.database.engine.dispose()
    path.write_bytes(b"no database at all" * 1000)
    for other in path.parent.glob(f"{path.name}-*"):
        other.unlink()
    told = server.ask("GET", "/studies")
    assert told.status in (500, 503)
    assert str(path.parent) not in told.error


def test_json_of_a_report_has_the_answer_in_words(of_finished: ApiServer, gradstudy: Run) -> None:
    answer = json.loads(of_finished.ask("GET", "/studies/s/report").body)["answer"]
    shown = gradstudy("report", "s").stdout
    assert answer["setting"].rstrip(".") in shown
    assert answer["kind"] in shown
    with Database.open("sqlite:///gradstudy.db") as database:
        assert find_study(database, "s").name == "s"
