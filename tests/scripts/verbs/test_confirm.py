import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from interrupting import interrupt_once_running
from slow_data import SlowData
from typer.testing import Result

from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError
from gradstudy.storage.frames import read_trials
from gradstudy.storage.studies import find_study
from gradstudy.study.worker.worker import Worker

Run = Callable[..., Result]
WORDS = ("confirm", "s", "--workers", "1", "--slots", "8")


def test_a_setting_is_confirmed_and_the_report_says_so(finished: Database, gradstudy: Run) -> None:
    result = gradstudy(*WORDS, "--width", "0.4", "--max-runs", "60")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "now: gradstudy report s"
    assert " to " in result.stdout
    report = gradstudy("report", "s").stdout
    assert "fresh run" in report
    assert "gradstudy confirm s" not in report
    again = gradstudy(*WORDS, "--width", "0.4", "--max-runs", "60")
    assert again.stdout.splitlines()[0] == "s-confirm goes on with the settings that it began with"
    assert again.exit_code == 0
    assert "nothing was run: every interval is at most 40% wide, or lies above 20%" in again.stdout
    wider = gradstudy(*WORDS, "--width", "0.5", "--top", "2")
    assert "began with, so that --top has no effect\n" in wider.stdout
    assert "nothing was run: every interval is at most 50% wide" in wider.stdout
    detached = gradstudy("confirm", "s", "--detach", "--slots", "2")
    assert (detached.exit_code, "--slots has no effect with --detach" in detached.stderr) == (2, True)
    for form in ("markdown", "json", "csv", "html"):
        assert gradstudy("report", "s", "--format", form).exit_code == 0


@pytest.mark.parametrize("form", ["terminal", "markdown", "json", "csv", "html", "parquet"])
@pytest.mark.parametrize("names", [["s-confirm"], ["s", "s-confirm"]])
def test_a_confirmation_has_a_report_in_every_form(
    confirmed: Database, gradstudy: Run, names: list[str], form: str
) -> None:
    result = gradstudy("report", *names, "--format", form)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.fixture(scope="module")
def confirmed_file(finished_file: Path, tmp_path_factory: pytest.TempPathFactory, gradstudy: Run) -> Path:
    """The study ``s`` and its confirmation, which has less runs than it might have."""
    path = Path(shutil.copy(finished_file, tmp_path_factory.mktemp("confirmed") / "gradstudy.db"))
    where = ("--storage", f"sqlite:///{path}")
    assert gradstudy("confirm", "s", "--width", "0.9", "--detach", *where).exit_code == 0
    assert gradstudy("work", "s-confirm", *where).exit_code == 0
    return path


@pytest.fixture
def confirmed(confirmed_file: Path, folder: Path) -> Iterator[Database]:
    """Both studies, in the default database of the folder."""
    shutil.copy(confirmed_file, folder / "gradstudy.db")
    with Database.open("sqlite:///gradstudy.db") as database:
        yield database


def test_settings_that_differ_by_their_factors_are_told_apart(gradstudy: Run, flags: list[str]) -> None:
    launched = gradstudy("launch", "s", *flags, "--strategies=norm", "--trials=24", "--vary=max_length=3,4")
    assert launched.exit_code == 0
    result = gradstudy(*WORDS, "--top", "4", "--max-runs", "12")
    assert result.exit_code == 0
    heading, *rows = result.stdout.partition("cell ")[2].splitlines()[:13]
    assert heading.split()[:3] == ["strategy", "factors", "threshold"]
    shown = [" ".join(row.split()[:4]) for row in rows]
    assert set(shown) == {f"{cell} norm max_length {n}" for cell in ("gru", "lstm") for n in (3, 4)}


@pytest.mark.slow
def test_an_interrupted_confirmation_says_so_and_the_same_command_goes_on(gradstudy: Run, folder: Path) -> None:
    slow = SlowData(folder, delay=0.1)
    slow.gate.touch()
    study = ("--strategies=norm", "--lr=0.01:0.1", "--steps=300", "--trials=2")
    assert gradstudy("launch", "s", *slow.flags(), *study).exit_code == 0
    slow.gate.unlink()
    words = ["confirm", "s", "--workers=1", "--slots=2", "--max-runs=6"]
    with Database.open("sqlite:///gradstudy.db") as db:
        code, output = interrupt_once_running(words, db)
        assert code == 130, output
        assert "the same command goes on" in output
        slow.gate.touch()
        assert gradstudy(*words).exit_code == 0
        assert len(read_trials(db, "s-confirm")) == find_study(db, "s-confirm").budget == 6


def test_a_stop_between_two_rounds_begins_no_other(
    finished: Database, gradstudy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Worker.run

    def stop_when_done(self: Worker, stop: threading.Event) -> None:
        begin(self, stop)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Worker, "run", stop_when_done)
    result = gradstudy(*WORDS, "--width", "0.3", "--max-runs", "5000")
    assert result.exit_code == 130
    assert result.stdout.endswith("stopped; the same command goes on\n")
    assert len(read_trials(finished, "s-confirm")) == find_study(finished, "s-confirm").budget


def test_runs_can_be_left_to_workers_elsewhere(finished: Database, gradstudy: Run) -> None:
    result = gradstudy("confirm", "s", "--detach", "--max-runs", "6")
    assert result.exit_code == 0
    assert "workers: gradstudy work s-confirm" in result.stdout
    assert find_study(finished, "s-confirm").budget == 6
    assert gradstudy("work", "s-confirm").exit_code == 0
    assert len(read_trials(finished, "s-confirm")) == 6
    used_up = gradstudy("confirm", "s", "--detach", "--max-runs", "6")
    assert "--max-runs is used up" in used_up.stdout


def test_deleting_a_study_deletes_its_confirmation(finished: Database, gradstudy: Run) -> None:
    gradstudy("confirm", "s", "--detach", "--max-runs", "6")
    assert gradstudy("delete", "s", "--yes").exit_code == 0
    for name in ("s", "s-confirm"):
        with pytest.raises(NotFoundError):
            find_study(finished, name)


@pytest.mark.parametrize("words", [["confirm", "nobody"], ["confirm", "s-confirm"]])
def test_what_cannot_be_confirmed_is_said_in_a_sentence(finished: Database, gradstudy: Run, words: list[str]) -> None:
    gradstudy("confirm", "s", "--detach", "--max-runs", "6")
    result = gradstudy(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith("gradstudy: ")
    assert result.stderr.count("\n") == 1
