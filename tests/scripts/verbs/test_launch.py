import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from interrupting import interrupt_once_running
from slow_data import SlowData
from typer.testing import Result

from gradstudy.models.strategies import SEARCHED_BY_DEFAULT
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.studies import find_study
from gradstudy.study.errors import WorkFailedError

Run = Callable[..., Result]

TOML = """
task = "copy"
steps = 20
batch_size = 8
trials = 8
task_options = { max_length = 4, examples = 200 }

[model]
hidden_size = 8

[space]
strategies = ["none", "norm"]
learning_rate = [0.01, 1000]
"""


def spec_of(url: str, name: str = "s") -> dict[str, Any]:
    with Database.open(url) as db:
        return find_study(db, name).spec


def test_a_launch_runs_every_trial(finished: Database) -> None:
    trials = read_trials(finished, "s")
    assert trials["number"].tolist() == list(range(8))
    assert set(trials["outcome"]) <= {"trained", "stalled", "diverged"}


def test_a_launch_says_where_it_is_and_what_comes_next(gradstudy: Run, flags: list[str]) -> None:
    result = gradstudy("launch", "s", *flags, "--threads", "1", "--slots", "3")
    lines = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines[0] == "study s in sqlite:///gradstudy.db: 8 trials of 20 steps"
    assert lines[1].endswith("150 examples to train on, 17 to validate on")
    assert lines[-2].startswith("8/8 done · 0 running · ")
    assert lines[-1] == "done; now: gradstudy report s"


@pytest.mark.parametrize("again", [[], ["flags"]])
def test_a_study_whose_budget_is_used_up_is_done(
    finished: Database, gradstudy: Run, flags: list[str], again: list[str]
) -> None:
    before = read_trials(finished, "s")
    result = gradstudy("launch", "s", *(flags if again else []))
    assert (result.exit_code, result.output) == (0, "study s is done: all 8 trials have ended\n")
    assert read_trials(finished, "s").equals(before)


def test_a_study_that_is_done_tells_optuna_what_a_dead_worker_could_not(finished: Database, gradstudy: Run) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    with finished.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trials SET state = 'RUNNING' WHERE number = 7")
        connection.exec_driver_sql(
            "DELETE FROM trial_values WHERE trial_id = (SELECT trial_id FROM trials WHERE number = 7)"
        )
        connection.exec_driver_sql(f"UPDATE gradstudy_worker SET pid = {ended.pid}")
    assert gradstudy("launch", "s").exit_code == 0
    study = optuna.load_study(study_name="s", storage=finished.optuna_storage)
    assert study.trials[7].state.name == "COMPLETE"


def test_a_toml_file_launches_the_same_study_as_flags(folder: Path, finished: Database, gradstudy: Run) -> None:
    (folder / "s.toml").write_text(TOML)
    result = gradstudy("launch", "s.toml", "--storage", "sqlite:///toml.db")
    assert result.exit_code == 0, result.output
    assert spec_of("sqlite:///toml.db") == spec_of("sqlite:///gradstudy.db")
    assert gradstudy("launch", "s.toml").stdout == "study s is done: all 8 trials have ended\n"


def test_flags_replace_what_a_toml_file_says(folder: Path, gradstudy: Run) -> None:
    (folder / "file.toml").write_text(f'name = "other"\n{TOML}')
    words = "--strategies all --trials 2 --steps 3 --layers 2 --threshold norm=1:2 --seed 4 --cells gru --guard"
    result = gradstudy("launch", "file.toml", *words.split())
    assert result.exit_code == 0, result.output
    spec = spec_of("sqlite:///gradstudy.db", "other")
    assert spec["model"] | {"layers": 2, "hidden_size": 8} == spec["model"]
    assert spec["space"] == {
        "cells": ["gru"],
        "strategies": list(SEARCHED_BY_DEFAULT),
        "learning_rate": [0.01, 1000],
        "thresholds": {"norm": [1, 2]},
        "hyperparameters": {},
        "factors": {},
        "scale_to": {},
    }
    assert (spec["trials"], spec["steps"], spec["seed"], spec["guard"]) == (2, 3, 4, True)
    assert spec["task_options"] == {"max_length": 4, "examples": 200}


def test_a_corrected_launch_is_not_held_up_by_the_wrong_one(gradstudy: Run, flags: list[str]) -> None:
    assert gradstudy("launch", "s", *flags, "--batch-size", "9999").exit_code == 2
    assert gradstudy("launch", "s", *flags, "--trials", "1").exit_code == 0


def test_work_that_fails_exits_with_1(
    finished: Database, gradstudy: Run, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise WorkFailedError("every trial fails")

    monkeypatch.setattr("gradstudy.study.worker.worker.Worker.run", fail)
    result = gradstudy("launch", "t", *flags)
    assert (result.exit_code, result.stderr) == (1, "gradstudy: every trial fails\n")


@pytest.mark.sampled
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_launch_gives_back_its_trials_and_the_same_command_goes_on(
    gradstudy: Run, folder: Path, workers: int
) -> None:
    slow = SlowData(folder, delay=0.1)
    words = ["launch", "t", *slow.flags(), "--lr=0.001:0.01", "--steps=300", "--trials=5", "--slots=2"]
    with Database.open("sqlite:///gradstudy.db", create=True) as db:
        code, output = interrupt_once_running([*words, f"--workers={workers}"], db)
        counts = count_outcomes(db.engine, find_study(db, "t"))
        states = {trial.state.name for trial in optuna.load_study(study_name="t", storage=db.optuna_storage).trials}
        assert (code, counts["running"]) == (130, 0), output
        assert "stopped: 5 trials left; the same command goes on\n" in output
        assert "Traceback" not in output
        assert states == {"WAITING"}
        slow.gate.touch()
        again = gradstudy(*words)
        assert (again.exit_code, again.stdout.splitlines()[-1]) == (0, "done; now: gradstudy report t")
        assert sorted(read_trials(db, "t")["ordinal"]) == list(range(5))


def test_what_clipping_does_at_a_learning_rate_is_one_command(gradstudy: Run, flags: list[str]) -> None:
    own = [flag for flag in flags if not flag.startswith(("--lr", "--trials"))]
    given = ["--cells=lstm", "--lr=0.5", "--threshold=norm=1", "--seeds=3"]
    result = gradstudy("launch", "s", *own, *given)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "study s in sqlite:///gradstudy.db: 6 trials (2 settings, 3 seeds each) of 20 steps"
    said = " ".join(lines)
    assert "LSTM, learning rate 0.5: norm at 1 instead of none: 0 of 3 runs diverged instead of 0 of 3" in said
    table = [line.split()[:5] for line in lines if line.startswith("lstm")]
    assert sorted(table) == [["lstm", "none", "–", "0.5", "0/3"], ["lstm", "norm", "1", "0.5", "0/3"]]
    again = gradstudy("launch", "s", *own, *given)
    assert (again.exit_code, again.stdout.splitlines()[-1]) == (0, "study s is done: all 6 trials have ended")


def test_chosen_settings_run_first_and_once(gradstudy: Run, flags: list[str]) -> None:
    chosen = "--enqueue=strategy=norm, threshold=1, learning_rate=0.5, cell=gru"
    first = gradstudy("launch", "s", *flags, chosen)
    assert first.stdout.splitlines()[:2] == [
        "GRU, norm at 1, learning rate 0.5: runs first",
        "study s in sqlite:///gradstudy.db: 9 trials of 20 steps",
    ]
    assert gradstudy("launch", "s", chosen).stdout.splitlines()[0] == "GRU, norm at 1, learning rate 0.5: has its runs"
    with Database.open("sqlite:///gradstudy.db") as db:
        trials = read_trials(db, "s")
    assert len(trials) == 9
    assert trials.loc[trials["learning_rate"] == 0.5, "number"].tolist() == [0]


def test_a_study_of_an_older_gradstudy_is_resumed_by_its_name_alone(folder: Path, gradstudy: Run) -> None:
    made = Path(__file__).parents[2] / "storage" / "databases" / "v0006.sql"
    spec = {"name": "first", "task": "copy", "steps": 5, "trials": 4, "sampler": "random", "model": {"hidden_size": 4}}
    with closing(sqlite3.connect(folder / "gradstudy.db")) as connection:
        connection.executescript(made.read_text())
        connection.execute("UPDATE gradstudy_study SET spec = ?", [json.dumps(spec)])
        connection.commit()
    result = gradstudy("launch", "first")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("done; now: gradstudy report first\n")
