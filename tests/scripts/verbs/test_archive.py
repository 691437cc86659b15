import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal
from typer.testing import Result

from gradstudy.storage.database import Database
from gradstudy.study import open_study

Run = Callable[..., Result]
FORMS = ("terminal", "html", "markdown", "csv", "json", "parquet")
MOMENTS = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d UTC")
"""When a report was written."""


def done(result: Result) -> str:
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


@pytest.fixture(params=["sqlite", "postgresql"])
def study(
    request: pytest.FixtureRequest, gradstudy: Run, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The study ``s``, which has run, on each backend; where files can be put."""
    if request.param == "sqlite":
        request.getfixturevalue("finished")
    else:
        monkeypatch.setenv("GRADSTUDY_STORAGE", request.getfixturevalue("postgresql_url"))
        assert gradstudy("launch", "s", *flags).exit_code == 0
    return request.getfixturevalue("folder")


def reports(gradstudy: Run, folder: Path, where: str) -> dict[str, bytes]:
    """Every form of the report that is one file, without moments."""
    found = {"terminal": done(gradstudy("report", "s")).encode()}
    for form in FORMS[1:]:
        out = folder / where / form
        out.parent.mkdir(exist_ok=True)
        done(gradstudy("report", "s", "--format", form, "--output", str(out)))
        found[form] = MOMENTS.sub(b"", out.read_bytes())
    return found


def test_every_report_is_the_same_with_its_steps_archived(gradstudy: Run, study: Path) -> None:
    with open_study("s") as opened:
        steps = opened.steps()
    before = reports(gradstudy, study, "before")
    said = done(gradstudy("archive", "s"))
    assert said == f"archived {len(steps)} steps (1 file) of study s in {study / 's-steps'}\n"
    asked = gradstudy("query", "SELECT COUNT(*) AS n FROM gradstudy_step", "--format", "csv")
    assert (asked.exit_code, asked.stdout.split()) == (0, ["n", "0"])
    elsewhere = f"gradstudy: no row is of the steps of study 's' that are archived; they are in {study / 's-steps'}\n"
    assert asked.stderr == elsewhere
    done(gradstudy("query", "SELECT COUNT(*) AS n FROM trial_result"))
    after = reports(gradstudy, study, "after")
    assert [name for name in before if after[name] != before[name]] == []
    assert after.keys() == before.keys()
    with open_study("s") as opened:
        assert_frame_equal(opened.steps(), steps)
    assert "agree" in gradstudy("replay", "s", "0").stdout

    said = done(gradstudy("archive", "s", "--undo"))
    assert said == f"restored {len(steps)} steps (1 file) of study s from {study / 's-steps'}\n"
    rows = done(gradstudy("query", "SELECT COUNT(*) AS n FROM gradstudy_step", "--format", "csv")).split()
    assert rows == ["n", str(len(steps))]


def test_files_that_are_gone_are_one_sentence_and_may_be_moved(
    gradstudy: Run, finished: Database, folder: Path
) -> None:
    done(gradstudy("archive", "s", "--output", "here"))
    before = done(gradstudy("report", "s"))
    (folder / "here").rename(folder / "there")
    assert done(gradstudy("report", "s")) == before  # which reads no step
    failed = gradstudy("report", "s", "--format", "html")
    assert failed.exit_code == 2
    [line] = failed.stderr.splitlines()
    assert re.fullmatch(
        rf"gradstudy: steps of study 's' were archived in {folder}/here/trials-0000000-0000007-\w{{12}}\.parquet, "
        r"which is not there; put the file back, or say where the files are now: gradstudy archive s --output FOLDER",
        line,
    )
    assert "is not in" in gradstudy("archive", "s", "--output", "elsewhere").stderr
    assert not (folder / "elsewhere").exists()
    done(gradstudy("archive", "s", "--output", "there"))
    done(gradstudy("report", "s", "--format", "html"))
    said = done(gradstudy("delete", "s", "--yes"))
    assert said.endswith(f"the files of its archived steps stay in {folder / 'there'}\n")
    assert len(list((folder / "there").iterdir())) == 1


def test_wrong_use_is_said(gradstudy: Run, finished: Database, folder: Path) -> None:
    assert gradstudy("archive", "s", "--undo").stderr == "gradstudy: no steps of study s are archived\n"
    assert "takes no --output" in gradstudy("archive", "s", "--undo", "--output", "x").stderr
    assert "there is no study 't'" in gradstudy("archive", "t").stderr
    (folder / "file").touch()
    failed = gradstudy("archive", "s", "--output", "file/below")
    assert (failed.exit_code, "cannot be made" in failed.stderr) == (2, True)
