"""Recorded runs against what is known of their losses, and against what else may happen to a program."""

import logging
import math
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from racing import RECORDED, record_runs, run_together
from waiting import until

from gradstudy.scripts.running.every_study import work_on_every_study
from gradstudy.storage.database import Database
from gradstudy.storage.exclusion import exclude_trials
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.storage.lost_workers import release_worker
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.studies import delete_study, find_study
from gradstudy.storage.workers import register_worker
from gradstudy.study import open_study
from gradstudy.study.errors import ExternalStudyError, SpecError
from gradstudy.study.integrations import record_run
from gradstudy.study.integrations.loops.recorded_run import RecordedRun
from gradstudy.study.launch import create_or_resume
from gradstudy.study.report.dashboard.content import write_content
from gradstudy.study.report.report import read_report
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.worker.recovery import recover

STEPS = 60
T = np.arange(STEPS)
FALLS, STAYS, RISES = 4 * np.exp(-T / 20), np.full(STEPS, 4.0), 4 + T / 20
BLOWS_UP = 4.0 * 1.3**T
"""Its average with a half-life of 10 steps passes 5 times 4.0 at the step that a spreadsheet tells."""


def smoothed(losses: "np.ndarray[Any, Any]") -> "pd.Series[float]":
    """As pandas has it: the average with a half-life of 10 steps, corrected for its start."""
    return pd.Series(losses).ewm(halflife=10, adjust=True).mean()


def with_bad(value: float) -> "np.ndarray[Any, Any]":
    losses = FALLS.copy()
    losses[37] = value
    return losses


@pytest.fixture
def url(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GRADSTUDY_STORAGE", sqlite_url)
    return sqlite_url


def run_of(study: str) -> RecordedRun:
    return record_run(study, learning_rate=0.1)


def recorded(losses: "np.ndarray[Any, Any]", **given: Any) -> tuple[str | None, str | None, int]:
    with record_run("r", **{"learning_rate": 0.1, **given}) as run:
        for loss in losses:
            run.step(loss, grad_norm=1.0)
    return run.outcome, run.reason, run.steps


@pytest.mark.parametrize(
    ("losses", "ended"),
    [
        (FALLS, ("trained", None, STEPS)),
        (STAYS, ("stalled", None, STEPS)),
        (RISES, ("diverged", "no_recovery", STEPS)),
        (BLOWS_UP, ("diverged", "blow_up", int((smoothed(BLOWS_UP) > 20).argmax()) + 1)),
        (np.concatenate([FALLS, [3.5] * 40]), ("diverged", "collapse", STEPS + 40)),
        (with_bad(math.nan), ("diverged", "non_finite_loss", 38)),
        (with_bad(math.inf), ("diverged", "non_finite_loss", 38)),
        (np.array([math.nan, 1.0]), ("failed", "untrained_not_finite", 1)),
        (np.array([]), ("failed", "no_steps", 0)),
    ],
)
def test_a_run_ends_by_the_rule_of_every_study(
    url: str, losses: "np.ndarray[Any, Any]", ended: tuple[str, str | None, int]
) -> None:
    assert recorded(losses) == ended
    with Database.open(url) as db:
        row = read_trials(db, "r").iloc[0]
        state = optuna.load_study(study_name="r", storage=db.optuna_storage).trials[0].state.name
    assert (row["outcome"], None if pd.isna(row["reason"]) else row["reason"], row["steps"]) == ended
    assert state == ("FAIL" if ended[0] == "failed" else "COMPLETE")


def test_a_gradient_that_is_not_finite_ends_a_run_unless_its_steps_are_skipped(url: str) -> None:
    for guard, outcome in ((False, "diverged"), (True, "trained")):
        with record_run("r", learning_rate=0.1, guard=guard) as run:
            went_on = [run.step(loss, grad_norm=math.nan if step == 20 else 1.0) for step, loss in enumerate(FALLS)]
        assert (run.outcome, all(went_on)) == (outcome, guard)
    with open_study("r") as study:
        assert study.trials()["skipped_steps"].tolist() == [0, 1]
        assert study.trials()["diverged_at_step"].tolist() == [20, pd.NA]


def test_what_was_said_is_what_the_views_show(url: str) -> None:
    norms = 1 + T / 10
    with record_run(
        "r", learning_rate=0.3, strategy="norm", threshold=2.0, cell="lstm", factors={"batch": 8, "tied": True}, seed=7,
        untrained_loss=[4.0, 4.2], steps=STEPS,
    ) as run:  # fmt: skip
        run.validation(torch.tensor(4.4))
        for loss, norm in zip(FALLS, norms, strict=True):
            rate = 0.3 * (1 - run.steps / STEPS)
            run.step(torch.tensor(loss, requires_grad=True), grad_norm=torch.tensor(norm), applied_norm=min(norm, 2.0),
                     learning_rate=rate)  # fmt: skip
        run.validation(0.5, accuracy=torch.tensor(0.25))
    with Database.open(url) as db:
        row, steps = read_trials(db, "r").iloc[0], read_steps(db, "r")
        trial = optuna.load_study(study_name="r", storage=db.optuna_storage).trials[0]
    assert {name: row[name] for name in ("cell", "strategy", "threshold", "learning_rate", "seed", "steps")} == {
        "cell": "lstm", "strategy": "norm", "threshold": 2.0, "learning_rate": 0.3, "seed": 7, "steps": STEPS,
    }  # fmt: skip
    assert (row["factors"], row["metrics"]) == ({"batch": 8, "tied": True}, {"accuracy": 0.25})
    assert (row["initial_validation_loss"], row["validation_loss"], row["objective"]) == (pytest.approx(4.4), 0.5, 0.5)
    assert row["initial_loss"] == pytest.approx(4.1)
    assert row["final_loss"] == pytest.approx(smoothed(FALLS).iloc[-1])
    assert row["grad_norm_p90"] == pytest.approx(np.percentile(norms, 90))
    assert row["clipped_fraction"] == pytest.approx((norms > 2).mean())
    assert steps["step"].tolist() == T.tolist()
    for name, values in {"loss": FALLS, "grad_norm": norms, "applied_norm": norms.clip(max=2)}.items():
        assert steps[name].to_numpy() == pytest.approx(values)
    assert trial.params == {"learning_rate": 0.3, "threshold_norm": 2.0}
    assert trial.value == 0.5


def test_a_run_that_ends_before_its_steps_counts_neither_way(url: str) -> None:
    assert recorded(FALLS[:30], steps=STEPS) == ("pruned", "ended_early", 30)
    assert recorded(BLOWS_UP, steps=STEPS)[0] == "diverged"


@pytest.mark.parametrize(
    ("last", "raised", "ended"),
    [
        (3.0, ZeroDivisionError, ("failed", "exception")),
        (3.0, KeyboardInterrupt, ("failed", "interrupted")),
        (math.nan, FloatingPointError, ("diverged", "non_finite_loss")),
    ],
)
def test_a_loop_that_raises_has_failed_unless_it_had_diverged(
    url: str, last: float, raised: type[BaseException], ended: tuple[str, str]
) -> None:
    def loop(run: RecordedRun) -> NoReturn:
        with run:
            run.step(4.0)
            run.step(last)
            raise raised("of the loop")

    run = record_run("r", learning_rate=0.1)
    with pytest.raises(raised, match="of the loop"):
        loop(run)
    assert (run.outcome, run.reason) == ended
    with Database.open(url) as db, db.engine.connect() as connection:
        error = connection.exec_driver_sql("SELECT error FROM gradstudy_trial").scalar_one()
    assert ("of the loop" in error) if ended[0] == "failed" else error is None


def test_a_run_can_end_its_block_when_it_diverges(url: str) -> None:
    with record_run("r", learning_rate=0.1, stop=True) as run:
        for loss in BLOWS_UP:
            run.step(loss)
    assert run.diverged
    assert run.steps < STEPS
    assert run.outcome == "diverged"


KILLED = """
import sys
from gradstudy.study.integrations import record_run
from gradstudy.study.integrations.loops import recorded_run
recorded_run.HEARTBEAT_SECONDS = 0.01
with record_run("r", learning_rate=0.1) as run:
    for step in range(50):
        run.step(4.0 - step / 20)
    sys.stdin.read()
"""


def test_a_program_that_is_killed_leaves_its_steps_and_a_run_that_failed(url: str) -> None:
    with Database.open(url) as db, subprocess.Popen([sys.executable, "-c", KILLED], stdin=subprocess.PIPE) as program:

        def count() -> int:
            with db.engine.connect() as connection:
                return int(connection.exec_driver_sql("SELECT COUNT(*) FROM gradstudy_step").scalar_one())

        until(lambda: count() == 50, or_ends=program.poll)
        assert count_outcomes(db.engine, find_study(db, "r"))["running"] == 1
        program.send_signal(signal.SIGKILL)
        program.wait()
        assert recorded(FALLS)[0] == "trained"
        rows = read_trials(db, "r")
        states = [each.state.name for each in optuna.load_study(study_name="r", storage=db.optuna_storage).trials]
        assert rows["outcome"].tolist() == ["failed", "trained"]
        assert rows["reason"].iloc[0] == "worker_lost"
        assert len(read_steps(db, "r", [0])) == 50
        assert states == ["FAIL", "COMPLETE"]
        assert count_outcomes(db.engine, find_study(db, "r"))["remaining"] == 0


def test_a_run_that_was_taken_for_lost_while_its_machine_slept_goes_on(url: str) -> None:
    with Database.open(url) as db:
        with record_run("r", learning_rate=0.1) as run:
            for loss in FALLS:
                run.step(loss)
            assert release_worker(db.engine, 1).failed
            assert read_trials(db, "r")["outcome"].tolist() == ["failed"]
        rows = read_trials(db, "r")
        assert (rows["outcome"].tolist(), rows["state"].tolist()) == (["trained"], ["COMPLETE"])
        assert len(read_steps(db, "r")) == STEPS


def test_a_run_that_never_began_takes_no_place(url: str, dead_pid: int) -> None:
    assert recorded(FALLS)[0] == "trained"
    with Database.open(url) as db:
        from gradstudy.storage.queue import SettingRow
        from gradstudy.storage.recorded_runs import begin_run

        record = find_study(db, "r")
        worker = register_worker(db.engine, "elsewhere", dead_pid, "recording")
        begin_run(db.engine, record, worker, SettingRow(cell="a", strategy="b", threshold=None, learning_rate=1.0), 0)
        assert find_study(db, "r").budget == 2
        release_worker(db.engine, worker)
        assert find_study(db, "r").budget == 1
        assert count_outcomes(db.engine, record)["remaining"] == 0


@pytest.mark.parametrize("server", ["sqlite_url", "postgresql_url"])
def test_programs_record_into_one_study_at_the_same_time(server: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(server)
    numbers = [number for numbers in run_together(3, record_runs, url) for number in numbers]
    assert sorted(numbers) == list(range(3 * RECORDED))
    with Database.open(url) as db:
        rows = read_trials(db, "r")
        assert find_study(db, "r").budget == len(rows) == 3 * RECORDED
        assert sorted(rows["ordinal"]) == list(range(3 * RECORDED))
        assert set(rows["outcome"]) == {"trained"}
        assert len(read_steps(db, "r")) == 30 * len(rows)


def test_a_study_that_is_deleted_meanwhile_does_not_disturb_the_loop(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Database.open(url) as db, caplog.at_level(logging.WARNING, "gradstudy"), run_of("r") as run:
        run.step(4.0)
        delete_study(db, "r")
        run.step(3.0)
    assert run.steps == 2
    assert "not recorded" in caplog.text


def test_no_worker_takes_up_a_recorded_study(url: str) -> None:
    class Once(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            self.set()
            return True

    def fail(job: object) -> NoReturn:
        raise AssertionError(job)

    recorded(FALLS)
    with Database.open(url) as db:
        work_on_every_study(db, fail, Once())
        recover(db, find_study(db, "r"))
        assert read_trials(db, "r")["outcome"].tolist() == ["trained"]


def test_a_study_that_was_launched_takes_no_recorded_runs(url: str, spec: StudySpec) -> None:
    with Database.open(url) as db:
        create_or_resume(db, spec)
    with (
        pytest.raises(ExternalStudyError, match="'s' was launched to be trained here"),
        record_run("s", learning_rate=0.1),
    ):
        pass


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be a number from 1e-12 to 1e\\+12, but got 0.0"),
        ({"learning_rate": math.nan}, "learning_rate must be a number"),
        ({"strategy": "clip"}, "there is no strategy 'clip'"),
        ({"strategy": "norm"}, "strategy 'norm' needs a threshold"),
        ({"threshold": 1.0}, "a threshold needs a strategy"),
        ({"cell": ""}, "cell must be 1 to 64 characters long, but got ''"),
        ({"factors": {"a": math.inf}}, "factor 'a' must be a finite number, a text or a switch, but got inf"),
        ({"factors": {"a": [1]}}, "factor 'a' must be a finite number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"steps": 0}, "steps must be at least 1, but got 0"),
    ],
)
def test_what_no_run_can_have_is_said_before_anything_is_made(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    file = tmp_path / "none.db"
    with pytest.raises(SpecError, match=said):
        record_run("r", **{"storage": f"sqlite:///{file}", "learning_rate": 0.1, **given})
    assert not file.exists()


def edge_study(**given: Any) -> None:
    """Runs that diverge above a learning rate of 1."""
    for seed, rate in enumerate(np.geomspace(0.01, 30, 14)):
        losses = BLOWS_UP if rate > 1 else 4 * np.exp(-T * rate / 20) + 0.01
        recorded(losses, learning_rate=float(rate), strategy="norm", threshold=1.0, cell="gru", seed=seed, **given)


def test_the_report_of_recorded_runs_is_right_about_them(url: str) -> None:
    edge_study()
    with Database.open(url) as db:
        report = read_report(db, "r")
        rates = np.geomspace(0.01, 30, 14)
        assert report.strategies[["runs", "diverged"]].to_numpy().tolist() == [[14, int((rates > 1).sum())]]
        assert report.frontiers["frontier"].between(0.5, 2).all()
        best = report.recommendation
        assert best is not None
        assert best.setting.learning_rate <= 1
        assert "clip_grad_norm_" in best.pytorch
        assert report.follow_up is None
        assert "no fresh runs confirm the answer" in report.caveats[0]
        exclude_trials(db, find_study(db, "r"), [0], "wrong data")
        assert read_report(db, "r").strategies["runs"].tolist() == [13]
        write_content(db, find_study(db, "r"), count_outcomes(db.engine, find_study(db, "r")), "")
        notes = [
            value
            for name, value in db.optuna_storage.get_study_system_attrs(find_study(db, "r").study_id).items()
            if name.startswith("dashboard:note_str")
        ]
    assert "runs that their own programs recorded" in "".join(notes)


def test_recording_needs_no_package_of_others() -> None:
    program = (
        "import sys\n"
        "for name in ('lightning', 'pytorch_lightning', 'transformers', 'mlflow', 'wandb', 'tensorboard'):\n"
        "    sys.modules[name] = None\n"
        "from gradstudy.study.integrations import record_run\n"
        "assert 'torch' not in sys.modules\n"
        "import gradstudy.study.integrations as integrations\n"
        "for name, extra in (('GradstudyCallback', 'lightning'), ('GradstudyTrainerCallback', 'transformers')):\n"
        "    try:\n"
        "        getattr(integrations, name)\n"
        "    except ImportError as error:\n"
        "        needed = f'install it with: pip install \"gradstudy[{extra}]\"'\n"
        "        assert str(error) == f'{name} needs {extra}; {needed}', str(error)\n"
        "    else:\n"
        "        raise AssertionError(name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
