from collections.abc import Callable
from json import loads
from pathlib import Path

import plain_programs as programs
import pytest
from typer.testing import Result

from gradstudy.storage.database import Database

Run = Callable[..., Result]
STORAGE = "sqlite:///optuna.db"


@pytest.fixture
def plain(folder: Path) -> Path:
    """A folder with the file of a plain program."""
    programs.run(programs.returns_nan, STORAGE, 40)
    return folder


def done(result: Result) -> str:
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def test_a_plain_study_is_reported_in_every_form(plain: Path, gradstudy: Run) -> None:
    before = (plain / "optuna.db").read_bytes()
    said = done(gradstudy("report", "plain", "--storage", STORAGE))
    assert said.startswith(
        "Study plain: a study of a plain Optuna program, which minimises its objective; learning rate"
    )
    assert "gradstudy confirm" not in said
    assert "clip as your program does" in said
    shown = loads(done(gradstudy("report", "plain", "--storage", STORAGE, "--format", "json")))
    assert shown["outcomes"]["diverged"] + shown["outcomes"]["trained"] == 40
    for form in ("markdown", "csv", "html"):
        done(gradstudy("report", "plain", "--storage", STORAGE, "--format", form, "--output", f"r.{form}"))
    page = (plain / "r.html").read_text()
    assert "by the clock of its machine" in page
    assert "gradstudy launch plain.toml" not in page
    assert (plain / "optuna.db").read_bytes() == before
    assert sorted(path.name for path in plain.iterdir()) == ["optuna.db", "r.csv", "r.html", "r.markdown"]


def test_what_a_person_says_about_it_counts(plain: Path, gradstudy: Run) -> None:
    said = done(gradstudy("report", "plain", "--storage", STORAGE, "--axis", "learning_rate=lr", "--untrained", "4"))
    assert "The loss of the untrained model is not known" not in said
    said = done(gradstudy("report", "plain", "--storage", STORAGE, "--failures", "failed"))
    assert "They count as failed, as was said." in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plain", "--axis", "lr"], "--axis takes WHAT=NAME, such as learning_rate=lr, but got 'lr'"),
        (["plain", "--axis", "rate=lr"], "a parameter can be learning_rate, threshold, strategy, cell, but got 'rate'"),
        (["plain", "--axis", "learning_rate=x"], "has no parameter 'x' for learning_rate; it has lr"),
        (["plain", "--objective", "3"], "has no objective '3': accepted is 0"),
        (["plain", "other"], "there are: plain"),
        (["plain", "plain"], "only studies that gradstudy launched can be compared"),
        (["plain", "--storage", "journal:///none.log"], "there is no file none.log"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(plain: Path, gradstudy: Run, words: list[str], said: str) -> None:
    result = gradstudy("report", "--storage", STORAGE, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_database_may_hold_studies_of_both_kinds(finished: Database, gradstudy: Run) -> None:
    programs.run(programs.returns_nan, finished.optuna_storage, 20)
    assert done(gradstudy("report", "s")).startswith("Study s: copy")
    assert done(gradstudy("report", "plain")).startswith("Study plain: a study of a plain Optuna program")
    assert "plain" not in done(gradstudy("status"))
    result = gradstudy("status", "plain")
    assert result.exit_code == 2
    assert "`gradstudy report plain` reads it" in result.stderr
    result = gradstudy("report", "s", "--untrained", "1")
    assert result.exit_code == 2
    assert "was launched by gradstudy" in result.stderr
