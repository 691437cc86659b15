import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.studies import find_study, list_studies

Run = Callable[..., Result]


def test_the_best_settings_are_trained_longer_and_the_report_says_what_they_did(
    finished: Database, gradstudy: Run
) -> None:
    before = gradstudy("report", "s").stdout
    assert "gradstudy extend s" in before
    result = gradstudy("extend", "s", "--steps", "160", "--top", "2", "--runs", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.endswith("2 runs of each")] == [
        "40 steps: 4 settings, 2 runs of each",
        f"160 steps: {result.stdout.partition('160 steps: ')[2].partition(' ')[0]} settings, 2 runs of each",
    ]
    assert any(line.startswith("Answer for 160 steps, measured: ") for line in lines)
    assert any(line.startswith("The answer of the runs of 20 steps") for line in lines)
    assert lines[-2:] == ["Nothing is known of training beyond 2,560 steps.", "now: gradstudy report s"]

    report = gradstudy("report", "s").stdout
    assert "Answer for 160 steps, measured" in report
    assert "Longer training" in report
    assert "gradstudy extend s" not in report
    assert "Nothing is known of training beyond 2,560 steps." in gradstudy("report", "s", "--format", "markdown").stdout
    assert gradstudy("report", "s", "--format", "html").exit_code == 0
    assert "Nothing is known of training beyond 2,560 steps." in Path("s.html").read_text()
    told = json.loads(gradstudy("report", "s", "--format", "json").stdout)
    assert told["at_horizon"]["steps"] == 160
    assert told["at_horizon"]["pytorch"] in report
    rows = told["tables"]["horizons"]
    assert [row["steps"] for row in rows][:4] == [40] * 4
    assert sum(row["is_answer"] for row in rows) == 2

    again = gradstudy("extend", "s", "--steps", "160", "--top", "2")
    assert again.stdout.count("goes on with the settings that it began with") == 2
    assert len(read_trials(finished, "s-at-40")) == 8


def test_runs_of_all_settings_have_the_same_seeds_and_the_schedule_ends_with_them(
    finished: Database, gradstudy: Run
) -> None:
    assert gradstudy("extend", "s", "--steps", "40", "--top", "2", "--runs", "3").exit_code == 0
    trials = read_trials(finished, "s-at-40")
    seeds = trials.groupby(["cell", "strategy", "learning_rate"])["seed"].apply(lambda each: tuple(sorted(each)))
    assert len(seeds) == 4
    assert len(set(seeds)) == 1
    assert len(set(seeds.iloc[0])) == 3
    assert set(seeds.iloc[0]).isdisjoint(read_trials(finished, "s")["seed"])
    spec = find_study(finished, "s-at-40").spec
    assert (spec["steps"], spec["sampler"], spec["pruner"]) == (40, "random", "none")


def test_it_is_left_to_other_workers_who_go_all_the_way(finished: Database, gradstudy: Run) -> None:
    words = ("extend", "s", "--steps", "160", "--top", "1", "--detach")
    first = gradstudy(*words)
    assert first.exit_code == 0
    assert "study s has longer runs to be made in sqlite:///gradstudy.db; workers: gradstudy work s" in first.stdout
    assert gradstudy("work", "s-at-40").exit_code == 0  # which is of that rung alone
    assert [study.name for study in list_studies(finished)] == ["s", "s-at-40"]
    assert "Longer training" in gradstudy("report", "s").stdout  # what has ended is there
    assert gradstudy("work", "s").exit_code == 0
    assert "Answer for 160 steps, measured: " in gradstudy(*words).stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(("extend", "nope"), "there is no study 'nope'"),
     (("extend", "s", "--steps", "20"), "study 's' trained 20 steps: --steps must be more, but got 20"),
     (("extend", "s", "--steps", "0"), "Invalid value for '--steps'")],
)  # fmt: skip
def test_what_cannot_be_extended_is_said_in_a_sentence(
    finished: Database, gradstudy: Run, words: tuple[str, ...], sentence: str
) -> None:
    result = gradstudy(*words)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_a_study_without_a_run_that_trained_is_not_extended(gradstudy: Run, flags: list[str]) -> None:
    assert gradstudy("launch", "s", *flags, "--detach").exit_code == 0
    result = gradstudy("extend", "s")
    assert result.exit_code == 2
    assert "study 's' has no trial that trained: there is nothing to train longer" in result.stderr


def test_what_extends_a_study_is_deleted_with_it(finished: Database, gradstudy: Run) -> None:
    assert gradstudy("extend", "s", "--steps", "160", "--top", "1", "--detach").exit_code == 0
    assert gradstudy("work", "s-at-40").exit_code == 0
    assert gradstudy("extend", "s", "--steps", "160", "--top", "1", "--detach").exit_code == 0
    assert gradstudy("delete", "s", "--yes").exit_code == 0
    assert list_studies(finished) == []
