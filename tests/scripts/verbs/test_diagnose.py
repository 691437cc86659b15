import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]
HEALTHY = "step,loss\n" + "".join(f"{step},{4 / step + 0.5}\n" for step in range(1, 60))
BROKEN = HEALTHY + "60,nan\n61,nan\n"


@pytest.fixture
def logs(folder: Path) -> Path:
    (folder / "healthy.csv").write_text(HEALTHY)
    (folder / "broken.csv").write_text(BROKEN)
    return folder


def test_the_exit_code_is_3_where_a_run_diverged_and_0_where_none_did(gradstudy: Run, logs: Path) -> None:
    healthy = gradstudy("diagnose", "healthy.csv")
    assert (healthy.exit_code, healthy.stderr) == (0, "")
    assert "Trained: the smoothed loss went from 4.5 to" in healthy.stdout
    broken = gradstudy("diagnose", "broken.csv")
    assert (broken.exit_code, broken.stderr) == (3, "")
    assert "Diverged: the loss became infinite or NaN. First bad step: 60." in broken.stdout
    assert gradstudy("diagnose", "healthy.csv", "broken.csv").exit_code == 3
    assert gradstudy("diagnose", ".").exit_code == 3


@pytest.mark.parametrize("form", ["json", "markdown", "html"])
def test_every_form_says_the_same(gradstudy: Run, logs: Path, form: str) -> None:
    result = gradstudy("diagnose", "broken.csv", "healthy.csv", "--format", form, "-o", "diagnosis")
    assert (result.exit_code, result.stdout) == (3, "written to diagnosis\n")
    written = (logs / "diagnosis").read_text()
    assert "Diverged: the loss became infinite or NaN. First bad step: 60." in written
    assert "Trained: the smoothed loss" in written
    assert "A tenth of the learning rate" in written
    if form == "json":
        read = json.loads(written)
        assert read["diverged"] is True
        assert [(run["run"], run["outcome"], run["first_bad_step"]) for run in read["runs"]] == [
            ("broken.csv", "diverged", 60.0),
            ("healthy.csv", "trained", None),
        ]
    if form == "html":
        assert re.search(r'<div class="figure" id="loss">', written)


def test_forms_go_to_standard_output_and_a_page_to_a_file(gradstudy: Run, logs: Path) -> None:
    assert gradstudy("diagnose", "healthy.csv", "--format", "markdown").stdout.startswith("# Diagnosis\n")
    assert gradstudy("diagnose", "healthy.csv", "--format", "html").stdout == "written to diagnosis.html\n"
    assert "Plotly" in (logs / "diagnosis.html").read_text()


def test_columns_that_are_named_are_taken(gradstudy: Run, folder: Path) -> None:
    text = BROKEN.replace("step,loss", "when,how_bad")
    (folder / "log.csv").write_text(text)
    refused = gradstudy("diagnose", "log.csv")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "gradstudy: log.csv (read as CSV) has no loss: it has when, how_bad; --loss COLUMN names the one to judge by\n"
    )
    taken = gradstudy("diagnose", "log.csv", "--loss", "how_bad", "--step", "when")
    assert (taken.exit_code, "First bad step: 60." in taken.stdout) == (3, True)
    (folder / "other.csv").write_text(HEALTHY)
    assert gradstudy("diagnose", ".", "--loss", "how_bad", "--step", "when").stdout.endswith(
        "Without a loss: other.csv\n"
    )
    wrong = gradstudy("diagnose", "log.csv", "--loss", "how_good")
    assert wrong.exit_code == 2
    assert wrong.stderr == "gradstudy: --loss names a column, but log.csv has no 'how_good'; it has when, how_bad\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no loss"),
        (b"\x00\x01\x02\xff" * 1000, "has no loss"),
        (b'{"loss": ', "not JSON"),
        (b'{"log_history": [{"loss": 3.2, "step', "has no loss"),
        (b"[" * 100_000, "has no loss"),
        (b'{"a":' * 100_000, "not JSON"),
        (b"SQLite format 3\x00" + b"\x00" * 100, "without MLflow's metrics"),
        (b"\x1f\x8b\x08\x00broken", "cannot be read"),
        (b":W&B\xe1\xbe\x00" + b"\xff" * 40_000, "has no loss"),
        (b"\x18" + b"\x00" * 7 + b"\xa3\x7fK\"\t\x00\x00\x80\xb5\xf0\xc0\xdaA\x1a\rbrain.Event:2\x00", "no loss"),
        (b"1,2,3\n4,5,6\n", "has no loss"),
        (b"x" * (3 << 20), "has no loss"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_log_is_refused_in_a_sentence(
    gradstudy: Run, folder: Path, content: bytes, words: str
) -> None:
    (folder / "log").write_bytes(content)
    result = gradstudy("diagnose", "log")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr


def test_what_is_not_there_is_said(gradstudy: Run, folder: Path) -> None:
    assert gradstudy("diagnose", "nothing.csv").stderr == "gradstudy: there is no file or folder nothing.csv\n"
    (folder / "empty").mkdir()
    result = gradstudy("diagnose", "empty")
    assert (result.exit_code, "the folder empty holds no log" in result.stderr) == (2, True)
    assert "--untrained takes a finite loss" in gradstudy("diagnose", "empty", "--untrained", "nan").stderr
    refused = gradstudy("diagnose", "empty", "-o", "x")
    assert "--output x needs a --format: html, markdown or json" in refused.stderr


def test_names_from_a_log_are_text(gradstudy: Run, folder: Path) -> None:
    name = "[/red]<script>alert(1)</script>|*.csv".replace("/", "∕")
    (folder / name).write_text(
        "run,step,loss\n" + "".join(f"\x1b[31m<b>,{step},{5 - step / 20}\n" for step in range(40))
    )
    assert "\x1b" not in gradstudy("diagnose", name).stdout
    page = gradstudy("diagnose", name, "--format", "html", "-o", "page.html")
    assert page.exit_code == 0, page.output
    assert "<script>alert" not in (folder / "page.html").read_text()
    assert "<script>" not in gradstudy("diagnose", name, "--format", "markdown").stdout.replace(r"\<script>", "")


def test_event_files_need_no_tensorboard_but_protobuf(
    gradstudy: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "events.out.tfevents.1.host").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    result = gradstudy("diagnose", "events.out.tfevents.1.host")
    assert result.exit_code == 2
    assert 'install it with: pip install "gradstudy[diagnose]"' in result.stderr
