"""``launch --horizon``: the short trials, the longer runs by themselves, and the answer for the horizon."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from interrupting import interrupt_once_running, running_trials
from slow_data import SlowData
from typer.testing import Result
from waiting import PATIENCE_SECONDS, until

from gradstudy.models.schedules import Schedule
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.storage.studies import delete_study, find_study, list_studies
from gradstudy.study.horizon.course import is_over, stretches

Run = Callable[..., Result]
TO_160 = ("--steps=10", "--trials=64", "--horizon=160")
"""Of twice 640 training steps, 16 runs of 40 steps and 4 of 160."""
TO_80 = ("--steps=10", "--trials=32", "--horizon=80", "--sampler=qmc")
"""Of twice 320 training steps, 16 runs of 20 steps and 4 of 80."""
SLOW = ("--lr=0.05:0.2", "--strategies=none,norm", "--slots=4", *TO_80)


@pytest.fixture
def db(folder: Path) -> Iterator[Database]:
    with Database.open(f"sqlite:///{folder}/gradstudy.db", create=True) as database:
        yield database


def runs_of(db: Database, name: str = "h") -> dict[int, int]:
    """How many runs of each length the study has that ended."""
    asked = (
        f"SELECT horizon, COUNT(*) AS runs FROM trial_result WHERE root_study = '{name}' AND outcome IS NOT NULL "
        "GROUP BY horizon ORDER BY horizon"
    )
    with db.engine.connect() as connection:
        return {int(row.horizon): int(row.runs) for row in connection.exec_driver_sql(asked)}


def test_the_longer_runs_follow_by_themselves_and_the_answer_is_for_the_horizon(
    db: Database, gradstudy: Run, flags: list[str]
) -> None:
    result = gradstudy("launch", "h", *flags, *TO_160, "--schedule=cosine")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert "longer runs of the best settings follow, by themselves: up to 16 of 40, then up to 4 of 160 steps" in lines
    begun = [re.fullmatch(r"(\d+) steps: (\d+) settings, (\d+) runs? of each", line) for line in lines]
    rungs = {int(found[1]): int(found[2]) * int(found[3]) for found in begun if found is not None}
    assert runs_of(db) == {10: 64, **rungs}
    assert list(rungs) == [40, 160]
    assert 8 <= rungs[40] <= 16
    assert rungs[160] == 4
    assert lines[-1] == "done; now: gradstudy report h"

    shown = gradstudy("report", "h").stdout
    assert "horizon 160 steps" in shown
    assert "Answer for 160 steps, measured" in shown
    assert "T_max=160)" in shown
    assert "T_max=10)" not in shown
    assert "By the runs of 10 steps: " in shown
    assert "gradstudy extend" not in shown
    told = json.loads(gradstudy("report", "h", "--format", "json").stdout)
    answer = told["at_horizon"]
    assert (answer["steps"], answer["longest"]) == (160, 160)
    assert "T_max=160)" in answer["pytorch"]
    assert answer["best"]["measured"][-1]["steps"] == 160
    assert answer["best"]["loss_low"] <= answer["best"]["loss"] <= answer["best"]["loss_high"]
    best = told["tables"]["at_horizon"][0]
    assert best["learning_rate"] == answer["best"]["setting"]["learning_rate"]
    for form in ("markdown", "csv"):
        assert f"{best['learning_rate']:.3g}" in gradstudy("report", "h", "--format", form).stdout
    assert gradstudy("report", "h", "--format", "html").exit_code == 0
    html = Path("h.html").read_text()
    assert "T_max=160)" in html
    assert "T_max=10)" not in html

    again = gradstudy("launch", "h", *flags, *TO_160, "--schedule=cosine")
    assert again.stdout == "study h is done: all 64 trials have ended, and the longer runs up to 160 steps\n"


def test_a_horizon_that_cannot_be_reached_is_extrapolated_to_and_says_so(
    db: Database, gradstudy: Run, flags: list[str]
) -> None:
    assert gradstudy("launch", "h", *flags, "--steps=10", "--trials=32", "--horizon=640").exit_code == 0
    assert (list(runs_of(db)), runs_of(db)[160]) == ([10, 40, 160], 2)
    shown = gradstudy("report", "h").stdout
    assert "Answer for 640 steps, extrapolated" in shown
    assert "Extrapolated: from 160 to 640 steps, 4 times beyond its longest runs; no run of it was made there." in shown


def test_every_run_has_a_schedule_of_its_own_length_and_a_warm_up_of_as_many_steps(
    db: Database, gradstudy: Run, flags: list[str]
) -> None:
    words = ("--schedule=cosine", "--warmup=5", "--strategies=none", "--cells=gru", "--lr=0.01:1")
    assert gradstudy("launch", "h", *flags, *TO_80, *words).exit_code == 0
    for name, steps in (("h", 10), ("h-at-20", 20), ("h-at-80", 80)):
        trials = read_trials(db, name)
        trained = trials[trials["outcome"] == "trained"].iloc[0]
        used = read_steps(db, name, [int(trained["number"])])["learning_rate"]
        expected = trained["learning_rate"] * Schedule("cosine", steps=steps, warmup=5).factors()
        assert used.tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_ctrl_c_stops_the_longer_runs_in_order_and_the_same_command_goes_on(
    db: Database, gradstudy: Run, folder: Path
) -> None:
    # The short trials, and measuring a loss, need no more steps than those that are free.
    slow = SlowData(folder, delay=PATIENCE_SECONDS, free=17, varied=False)
    words = ["launch", "h", *slow.flags(), *SLOW]
    code, output = interrupt_once_running(words, db, at=lambda: len(list_studies(db)) == 2)
    assert code == 130, output
    assert "stopped: 16 trials left; the same command goes on" in output
    with db.engine.connect() as connection:
        held = "SELECT COUNT(*) FROM gradstudy_trial WHERE worker_id IS NOT NULL AND outcome IS NULL"
        assert connection.exec_driver_sql(held).scalar_one() == 0
    assert runs_of(db) == {10: 32}
    assert "20 of 80 steps" in gradstudy("status").stdout
    slow.gate.touch()
    result = gradstudy(*words)
    assert result.exit_code == 0, result.output
    assert is_over(db, stretches(db, find_study(db, "h")))
    assert set(runs_of(db)) == {10, 20, 80}
    assert "Answer for 80 steps, measured" in gradstudy("report", "h").stdout


def test_when_the_launcher_is_killed_a_worker_goes_all_the_way(db: Database, gradstudy: Run, folder: Path) -> None:
    slow = SlowData(folder, delay=PATIENCE_SECONDS, free=17, varied=False)
    command = [str(Path(sys.executable).with_name("gradstudy")), "launch", "h", *slow.flags(), *SLOW]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: len(list_studies(db)) == 2 and running_trials(db), or_ends=process.poll)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert runs_of(db) == {10: 32}
    slow.gate.touch()
    result = gradstudy("work", "h", f"--allow-modules={folder}")
    assert result.exit_code == 0, result.output
    assert set(runs_of(db)) == {10, 20, 80}
    assert is_over(db, stretches(db, find_study(db, "h")))


def test_detached_it_waits_for_workers_that_go_all_the_way(db: Database, gradstudy: Run, flags: list[str]) -> None:
    result = gradstudy("launch", "h", *flags, *TO_80, "--detach")
    assert "workers: gradstudy work h" in result.stdout
    assert gradstudy("work", "h").exit_code == 0
    assert list(runs_of(db)) == [10, 20, 80]


def test_before_longer_runs_have_ended_nothing_is_said_of_the_horizon(
    db: Database, gradstudy: Run, flags: list[str]
) -> None:
    assert gradstudy("launch", "h", *flags, *TO_80).exit_code == 0
    for name in ("h-at-20", "h-at-80"):
        delete_study(db, name)
    shown = gradstudy("report", "h").stdout
    assert "Answer for" not in shown
    assert "of the horizon, 80 steps, nothing is known before longer runs have ended" in shown.replace("\n", " ")
    assert "10 of 80 steps" in gradstudy("status").stdout
    assert gradstudy("extend", "h").exit_code == 0  # which goes to the horizon
    assert list(runs_of(db)) == [10, 20, 80]
    refused = gradstudy("extend", "h", "--runs", "3")
    assert refused.exit_code == 2
    assert "--runs has no effect: study 'h' goes to its horizon of 80 steps" in refused.stderr


def test_where_no_run_trained_it_ends_with_a_sentence(db: Database, gradstudy: Run, flags: list[str]) -> None:
    result = gradstudy("launch", "h", *flags, *TO_80, "--lr=1e30:1e31", "--strategies=none")
    assert result.exit_code == 0, result.output
    assert "no trial trained: there is nothing to train longer" in result.stdout
    assert [study.name for study in list_studies(db)] == ["h"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(("--horizon=20",), "horizon must be above steps, which is 20, but got 20"),
     (("--horizon=20000",), "8 trials of 20 steps pay for runs of 156 steps, and so for a horizon of 2,496, but got "),
     (("--task=sunspots", "--horizon=4"), "4 rows to forecast are --forecast 4")],
)  # fmt: skip
def test_a_horizon_that_means_nothing_is_refused(
    folder: Path, gradstudy: Run, flags: list[str], words: tuple[str, ...], sentence: str
) -> None:
    given = [flag for flag in flags if not ("--task" in flag and "--task=sunspots" in words)]
    result = gradstudy("launch", "h", *given, *words)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert not (folder / "gradstudy.db").exists()
