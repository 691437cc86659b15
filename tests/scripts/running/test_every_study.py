"""A worker of every study, among which some cannot be worked on."""

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from silent import Silent
from typer.testing import Result

from gradstudy.models.user_module.trusted import trusting_only
from gradstudy.scripts.running.every_study import work_on_every_study
from gradstudy.storage.database import Database
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.set_aside import reasons
from gradstudy.storage.studies import find_study, list_studies
from gradstudy.storage.workers import living_workers
from gradstudy.study.horizon.course import is_over, stretches
from gradstudy.study.launch import create_or_resume, with_file
from gradstudy.study.spec.study_spec import parse_spec
from gradstudy.study.worker.job import Job
from gradstudy.study.worker.worker import Worker

Run = Callable[..., Result]
SMALL = {"steps": 3, "batch_size": 4, "trials": 8, "model": {"hidden_size": 4}, "space": {"strategies": ["none"]}}
FAR = {"task": "copy", "steps": 10, "trials": 64, "horizon": 160, "model": {"hidden_size": 8}, "sampler": "qmc"}
"""Whose longer runs are of 40 and 160 steps."""
BROKEN = "def problem(seed):\n    raise KeyError('weights')\n"
MENDED = """
import torch
def problem(seed):
    return torch.nn.Linear(1, 1), [torch.ones(1, 1)], lambda module, batch: module(batch).square().sum()
"""


class WhenIdle(threading.Event):
    """Is set as soon as somebody waits for it, having nothing to do."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return True


@pytest.fixture
def db(folder: Path) -> Iterator[Database]:
    path, modules = list(sys.path), set(sys.modules)
    with Database.open(f"sqlite:///{folder}/gradstudy.db", create=True) as database:
        yield database
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("mine_"):
            del sys.modules[name]


@pytest.fixture
def serve(db: Database, folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Work on every study until there is nothing to do; what was said."""

    def run() -> str:
        def work_on(job: Job) -> None:
            Worker(job, slots=2, stand_by=False, listener=Silent()).run(threading.Event())

        capsys.readouterr()
        with trusting_only([str(folder)]):
            work_on_every_study(db, work_on, WhenIdle())
        return capsys.readouterr().out

    return run


def launch(db: Database, name: str, **spec: Any) -> None:
    create_or_resume(db, with_file(parse_spec(SMALL | {"name": name} | spec)))


def module(name: str) -> dict[str, Any]:
    """Of code that may fail; without an optimizer a launch would try it."""
    task = f"module:{name}:problem"
    return {"task": task, "optimizer": "sgd", "space": {"strategies": ["none"], "cells": ["module"]}}


def ended(db: Database, name: str, outcome: str | None = None) -> int:
    counts = count_outcomes(db.engine, find_study(db, name))
    return counts[outcome] if outcome else 8 - counts["remaining"]


def a_minute_later(db: Database) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE gradstudy_set_aside SET since = '2001-01-01 00:00:00.000000'")


def series(folder: Path) -> Path:
    file = folder / "series.csv"
    file.write_text("t,x\n" + "".join(f"{step},{step % 7}\n" for step in range(400)))
    return file


def test_a_study_whose_file_is_gone_does_not_keep_others_waiting(
    db: Database, folder: Path, serve: Callable[[], str], gradstudy: Run
) -> None:
    file = series(folder)
    launch(db, "gone", task=f"series:{file}")
    launch(db, "good", task="copy")
    file.rename(folder / "away.csv")
    assert "study gone is set aside: " in serve()
    assert (ended(db, "gone"), ended(db, "good")) == (0, 8)
    status = gradstudy("status").stdout
    assert "study gone is set aside on " in status
    assert "tried again every minute, or after: gradstudy launch gone --detach" in status
    assert serve() == ""  # not before a minute has passed
    a_minute_later(db)
    assert serve() == ""  # nothing new
    (folder / "away.csv").rename(file)
    a_minute_later(db)
    assert serve() == "study gone is tried again\n"
    assert ended(db, "gone") == 8
    assert "set aside" not in gradstudy("status").stdout


def test_the_rungs_to_a_horizon_are_begun_one_after_the_other(db: Database, serve: Callable[[], str]) -> None:
    launch(db, "far", **FAR)
    assert serve() == ""
    assert {study.name: count_outcomes(db.engine, study)["remaining"] for study in list_studies(db)} == {
        "far": 0, "far-at-40": 0, "far-at-160": 0
    }  # fmt: skip
    assert is_over(db, stretches(db, find_study(db, "far")))


def test_a_rung_whose_name_is_taken_sets_its_study_aside(
    db: Database, serve: Callable[[], str], gradstudy: Run
) -> None:
    launch(db, "far-at-40", task="copy", trials=1)
    launch(db, "far", **FAR)
    launch(db, "good", task="copy")
    assert serve().startswith("study far is set aside: there is a study 'far-at-40' that does not extend this one; ")
    assert ended(db, "good") == 8
    assert gradstudy("delete", "far-at-40", "--yes").exit_code == 0
    a_minute_later(db)
    assert serve() == ""
    assert is_over(db, stretches(db, find_study(db, "far")))
    assert "set aside" not in gradstudy("status").stdout


def test_a_study_whose_trials_fail_is_tried_again_when_its_code_has_changed(
    db: Database, folder: Path, serve: Callable[[], str], gradstudy: Run
) -> None:
    code = folder / "mine_of_the_service.py"
    code.write_text(BROKEN)
    launch(db, "fails", **module("mine_of_the_service"))
    launch(db, "good", task="copy")
    said = serve()
    assert said.startswith("study fails is set aside: 5 trials, one after the other, failed by an exception; the last")
    assert said.endswith("KeyError: 'weights'\n")
    failed = ended(db, "fails", "failed")
    assert failed >= 5  # more may have failed in the same moment
    assert ended(db, "good") == 8
    assert living_workers(db.engine) == {}
    assert "it is tried again when its code has changed" in gradstudy("status", "fails").stdout
    a_minute_later(db)
    assert serve() == ""
    assert ended(db, "fails", "failed") == failed
    code.write_text(MENDED)
    a_minute_later(db)
    assert serve() == "study fails is tried again\n"
    assert (ended(db, "fails"), ended(db, "fails", "failed")) == (8, failed)


def test_launching_a_study_again_lets_workers_try_it(
    db: Database, folder: Path, serve: Callable[[], str], gradstudy: Run
) -> None:
    (folder / "mine_to_launch.py").write_text(BROKEN)
    launch(db, "fails", trials=20, **module("mine_to_launch"))
    serve()
    assert list(reasons(db.engine)) == [find_study(db, "fails").study_id]
    failed = ended(db, "fails", "failed")
    assert gradstudy("launch", "fails", "--detach").exit_code == 0
    assert reasons(db.engine) == {}
    serve()
    assert ended(db, "fails", "failed") >= failed + 5


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "1 / 0", "def"])
def test_code_that_ends_the_process_ends_only_its_study(
    db: Database, folder: Path, serve: Callable[[], str], code: str
) -> None:
    (folder / "mine_that_ends.py").write_text(code)
    launch(db, "ends", **module("mine_that_ends"))
    launch(db, "not-allowed", **module("os"))
    launch(db, "good", task="copy")
    said = serve()
    assert "study ends is set aside: task 'module:mine_that_ends:problem' cannot be imported: " in said
    assert "study not-allowed is set aside: " in said
    assert ended(db, "good") == 8


def test_a_set_aside_study_can_be_deleted(db: Database, folder: Path, serve: Callable[[], str], gradstudy: Run) -> None:
    launch(db, "gone", task=f"series:{series(folder)}")
    (folder / "series.csv").unlink()
    serve()
    assert gradstudy("delete", "gone", "--yes").exit_code == 0
    assert reasons(db.engine) == {}
    assert serve() == ""


def test_the_reason_of_a_study_that_is_set_aside_holds_no_password(
    db: Database, folder: Path, serve: Callable[[], str], gradstudy: Run
) -> None:
    (folder / "mine_that_tells.py").write_text("raise OSError('postgresql://anna:Tr0ub4dor@h/d \\x1b[31m')")
    launch(db, "tells", **module("mine_that_tells"))
    for said in (serve(), gradstudy("status").stdout):
        assert r"postgresql://anna:***@h/d \x1b[31m" in said
    [[reason]] = reasons(db.engine).values()
    assert "Tr0ub4dor" not in reason.text
