import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.studies import find_study
from gradstudy.study.launch import create_or_resume
from gradstudy.study.report.report import read_report
from gradstudy.study.spec.study_spec import stored_spec

Run = Callable[..., Result]


def change(db: Database, statement: str) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql(statement)


def report(gradstudy: Run) -> str:
    result = gradstudy("report", "s")
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def test_a_report_begins_with_the_study_and_its_outcomes(finished: Database, gradstudy: Run) -> None:
    counts = read_trials(finished, "s")["outcome"].value_counts()
    title = report(gradstudy).splitlines()[:2]
    assert title[0] == "Study s: copy, sgd, hidden 8, batch 8, 20 steps a trial"
    assert title[1] == "8 of 8 trials: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items())


@pytest.mark.parametrize(
    "setting",
    ["strategy = 'norm', threshold = 0.25", "strategy = 'none', threshold = NULL", "strategy = 'agc', threshold = 0.1",
     "strategy = 'zclip', threshold = 2.5"],
)  # fmt: skip
def test_a_report_prints_the_lines_to_paste(
    finished: Database, gradstudy: Run, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = 'json_set(spec, \'$.space.strategies\', json(\'["norm", "none", "agc", "zclip"]\'))'
    change(finished, f"UPDATE gradstudy_study SET spec = {spec}")
    change(finished, f"UPDATE gradstudy_trial SET {setting}")
    best = read_report(finished, "s").recommendation
    assert best is not None
    monkeypatch.setenv("COLUMNS", "60")
    assert f"\n{best.pytorch}\n" in report(gradstudy)


def test_a_report_has_a_row_for_each_cell_and_strategy(finished: Database, gradstudy: Run) -> None:
    trials = read_trials(finished, "s")
    lines = [line.split() for line in report(gradstudy).splitlines()]
    for (cell, strategy), group in trials.groupby(["cell", "strategy"]):
        diverged = (group["outcome"] == "diverged").sum()
        assert [cell, strategy, f"{diverged}/{len(group)}"] in [line[:3] for line in lines]


def test_the_map_marks_each_bin_once(finished: Database, gradstudy: Run) -> None:
    trials = read_trials(finished, "s")
    decades = trials["threshold"].map(lambda value: f"{value:e}".partition("e")[2])
    bins = trials.groupby([trials["cell"], trials["strategy"], decades, trials["learning_rate_bin"]])
    shares = bins["outcome"].agg(lambda outcomes: (outcomes == "diverged").mean())
    rows = report(gradstudy).partition("downwards)")[2].partition("● none diverged")[0]
    assert rows.count("●") == (shares == 0).sum()
    assert rows.count("✕") == (shares == 1).sum()
    assert rows.count("◐") == shares.between(0, 1, inclusive="neither").sum()


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE gradstudy_trial SET outcome = 'diverged'", "all 8 diverged: search lower learning rates"),
        (
            "UPDATE gradstudy_trial SET outcome = 'stalled', validation_loss = 3",
            "0 diverged, 8 stalled: train more steps",
        ),
        ("UPDATE gradstudy_trial SET outcome = NULL", "nothing has ended yet"),
        ("DELETE FROM gradstudy_trial", "nothing has ended yet"),
    ],
)
def test_without_a_trained_trial_a_report_says_why(
    finished: Database, gradstudy: Run, statement: str, why: str
) -> None:
    change(finished, statement)
    assert f"No setting can be recommended: no trial trained ({why})." in report(gradstudy)


def test_status_counts_every_study(finished: Database, gradstudy: Run) -> None:
    spec = stored_spec(find_study(finished, "s"))
    create_or_resume(finished, spec.model_copy(update={"name": "new", "trials": 5}))
    heading, *lines, workers = gradstudy("status").stdout.splitlines()
    assert workers == "workers: none"
    columns = heading.split()[:-1]  # the last one is the phase, which spread studies do not have
    rows = {line.split()[0]: dict(zip(columns[1:], map(int, line.split()[1:]), strict=True)) for line in lines}
    assert rows["new"]["remaining"] == rows["new"]["trials"] == 5
    counts = read_trials(finished, "s")["outcome"].value_counts()
    assert {name: rows["s"][name] for name in counts.index} == counts.to_dict()
    assert gradstudy("status", "new").stdout.splitlines() == [heading, lines[1], workers]


def test_status_of_a_database_without_studies_says_so(gradstudy: Run) -> None:
    Database.open("sqlite:///gradstudy.db", create=True).close()
    assert gradstudy("status").stdout == "sqlite:///gradstudy.db holds no studies yet\n"


@pytest.mark.parametrize("form", ["html", "markdown", "csv", "json", "parquet"])
def test_a_report_can_be_a_file_of_every_form(finished: Database, gradstudy: Run, folder: Path, form: str) -> None:
    result = gradstudy("report", "s", "--format", form, "--output", "made")
    assert (result.exit_code, result.stdout) == (0, "written to made\n"), result.output
    content = (folder / "made").read_bytes()
    best = read_report(finished, "s").recommendation
    assert best is not None
    assert {
        "html": content.startswith(b"<!doctype html>"),
        "markdown": content.startswith(b"# s\n"),
        "csv": content.startswith(b"table,"),
        "json": content.startswith(b"{")
        and json.loads(content)["recommendation"]["setting"]["number"] == best.setting.number,
        "parquet": content.startswith(b"PAR1"),
    }[form]


def test_text_forms_are_written_to_the_terminal_and_others_to_a_file_of_the_studys_name(
    finished: Database, gradstudy: Run, folder: Path
) -> None:
    assert json.loads(gradstudy("report", "s", "--format", "json").stdout)["study"] == "s"
    assert gradstudy("report", "s", "--format", "html").stdout == "written to s.html\n"
    assert (folder / "s.html").exists()


def test_parquet_without_pyarrow_is_one_sentence(
    finished: Database, gradstudy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradstudy.scripts.errors.find_spec", lambda name: None)
    result = gradstudy("report", "s", "--format", "parquet")
    assert result.exit_code == 2
    assert result.stderr == (
        'gradstudy: --format parquet needs pyarrow; install it with: pip install "gradstudy[parquet]"\n'
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["s", "t", "u"], "a report is of one study, or compares two, but got 3: s, t, u"),
        (
            ["s", "--output", "x"],
            "--output x needs a --format: html, markdown, csv, json, parquet, mlflow, tensorboard or wandb",
        ),
        (["s", "--format", "csv", "--output", "missing/x"], "missing/x"),
        (["other"], "there is no study 'other'"),
        (["s", "other"], "there is no study 'other'"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence(
    finished: Database, gradstudy: Run, words: list[str], said: str
) -> None:
    result = gradstudy("report", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("form", ["terminal", "html", "markdown", "csv", "json", "parquet"])
def test_two_studies_are_compared_in_every_form(
    finished: Database, gradstudy: Run, flags: list[str], form: str
) -> None:
    assert gradstudy("launch", "t", *flags, "--steps=10").exit_code == 0
    if form == "terminal":
        shown = gradstudy("report", "s", "t").stdout
        assert "steps: 20 -> 10" in shown
        assert "B less A" in shown
    else:
        result = gradstudy("report", "s", "t", "--format", form, "--output", "made")
        assert (result.exit_code, result.stdout) == (0, "written to made\n"), result.output
