"""Verbs on studies whose runs their own programs record."""

from collections.abc import Callable
from json import loads
from pathlib import Path

import pytest
from typer.testing import Result

from gradstudy.study.integrations import record_run

Run = Callable[..., Result]


@pytest.fixture
def recorded(folder: Path) -> None:
    for rate, last in ((0.1, 1.0), (0.3, 0.5), (3.0, 40.0)):
        with record_run("r", learning_rate=rate, strategy="norm", threshold=1.0, cell="lstm") as run:
            for step in range(40):
                run.step(4 + (last - 4) * step / 39, grad_norm=2.0, applied_norm=1.0)


@pytest.mark.parametrize(
    "verb", ["launch", "work", "confirm", "extend", "probe", "replay", "rescue", "launch --steps=5", "launch --detach"]
)
@pytest.mark.usefixtures("recorded")
def test_what_trains_says_that_it_cannot(verb: str, gradstudy: Run) -> None:
    name, *options = verb.split()
    number = ["0"] if name in ("replay", "rescue") else []
    result = gradstudy(name, "r", *number, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "gradstudy: the runs of study 'r' are recorded by their own programs: nothing here can train any; "
        "`gradstudy report r` shows those that there are\n"
    )


@pytest.mark.usefixtures("recorded")
def test_what_reads_shows_the_runs(gradstudy: Run, folder: Path) -> None:
    assert "runs that their own programs recorded" in gradstudy("report", "r").stdout
    assert "2 trained, 1 diverged" in gradstudy("report", "r").stdout
    counts = dict(zip(*(line.split() for line in gradstudy("status", "r").stdout.splitlines()[:2]), strict=False))
    assert (counts["trained"], counts["diverged"], counts["remaining"]) == ("2", "1", "0")
    rows = gradstudy("query", "SELECT outcome FROM trial_result ORDER BY number", "--format", "json").stdout
    assert [row["outcome"] for row in loads(rows)] == ["trained", "trained", "diverged"]
    assert gradstudy("report", "r", "--format", "html", "-o", "r.html").exit_code == 0
    page = (folder / "r.html").read_text()
    assert "what the programs recorded that trained the runs" in page
    assert "norms-lstm" in page
    assert gradstudy("exclude", "r", "2", "--why", "wrong data").exit_code == 0
    assert "1 excluded" in gradstudy("report", "r").stdout


def test_a_study_can_be_opened_before_its_first_run(gradstudy: Run) -> None:
    for _ in range(2):
        made = gradstudy("launch", "r", "--external")
        assert (made.exit_code, made.stderr) == (0, "")
        assert made.stdout.startswith("study r is open in sqlite:///gradstudy.db to runs that programs record")
    assert "nothing can be said yet" in gradstudy("report", "r").stdout
    assert gradstudy("status").exit_code == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["r", "--external", "--steps=5"], "--steps has no effect with --external"),
        (["r", "--external", "--workers=2"], "--workers has no effect with --external"),
        (["--external"], "--external needs the NAME of the study"),
        (["a b", "--external"], "the name of a study must be 1 to 100 letters"),
    ],
)
def test_what_makes_no_sense_beside_it_is_said(given: list[str], said: str, gradstudy: Run, folder: Path) -> None:
    result = gradstudy("launch", *given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert list(folder.iterdir()) == []
