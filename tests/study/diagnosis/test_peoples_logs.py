"""Logs that libraries wrote (see ``make_logs.py``), with first bad steps that are known because they were made."""

import gzip
import shutil
from pathlib import Path

import pytest

from gradstudy.study.diagnosis.diagnose import Diagnosis, diagnose

LOGS = Path(__file__).parent / "logs"
BREAK = 60
"""The learning rate is a million in this step, so that the loss of the next one is the first bad one."""


def diagnosed(name: str, tmp_path: Path) -> Diagnosis:
    path = LOGS / name
    if name.endswith(".db.gz"):
        unpacked = tmp_path / "mlflow.db"
        unpacked.write_bytes(gzip.decompress(path.read_bytes()))
        path = unpacked
    return diagnose([path])


@pytest.mark.parametrize(
    ("name", "first_bad"),
    [
        ("lightning-broken.csv", BREAK + 1),
        ("keras-broken.csv", 14),
        ("keras-broken.log", 15),
        ("trainer-broken/trainer_state.json", BREAK + 1),
        ("trainer-nan/trainer_state.json", 70),
        ("trainer-nan.log", 0.7),
        ("wandb-broken.wandb.gz", BREAK),
        ("json-lines.jsonl", 151),
        ("text-broken.log", 120),
    ],
)
def test_a_run_that_broke_is_called_diverged_from_its_first_bad_step_on(
    name: str, first_bad: float, tmp_path: Path
) -> None:
    (run,) = diagnosed(name, tmp_path).runs
    assert (run.judged.outcome, run.judged.first_bad) == ("diverged", first_bad)


LEARNED_BEFORE_ITS_FIRST_ROW = "lightning-healthy.csv"
"""Which is that of step 50: what follows is noise."""


@pytest.mark.parametrize(
    "name",
    [
        LEARNED_BEFORE_ITS_FIRST_ROW,
        "lightning-tensorboard",
        "keras-resumed.csv",
        "keras-resumed.log",
        "trainer-healthy/trainer_state.json",
        "trainer-healthy.log",
        "wandb-healthy.wandb.gz",
        "pandas.csv",
        "text-healthy.log",
    ],
)
def test_a_healthy_log_is_never_called_diverged(name: str, tmp_path: Path) -> None:
    first, *others = diagnosed(name, tmp_path).runs
    assert first.judged.outcome == ("stalled" if name == LEARNED_BEFORE_ITS_FIRST_ROW else "trained")
    assert [run.name for run in others if run.is_bad] == []  # a run that goes on has little to learn


@pytest.mark.parametrize("name", ["mlflow-files", "mlflow-database.db.gz"])
def test_runs_of_mlflow_are_told_apart(name: str, tmp_path: Path) -> None:
    runs = diagnosed(name, tmp_path).runs
    judged = {"broken" in run.name: (run.judged.outcome, run.judged.first_bad) for run in runs}
    assert judged == {True: ("diverged", BREAK + 1), False: ("trained", None)}


def test_runs_that_break_at_one_batch_are_told_to_look_at_it() -> None:
    diagnosis = diagnose([LOGS / "tensorboard-batch"])
    assert {step: len(runs) for step, runs in diagnosis.shared_steps.items()} == {80: 3}


def test_a_folder_is_searched(tmp_path: Path) -> None:
    for name in ("pandas.csv", "json-lines.jsonl", "text-healthy.log"):
        shutil.copy(LOGS / name, tmp_path)
    (tmp_path / "notes.csv").write_text("day,weather\n1,rain\n2,snow\n")
    diagnosis = diagnose([tmp_path])
    assert [Path(run.name).name for run in diagnosis.runs] == ["json-lines.jsonl", "pandas.csv", "text-healthy.log"]
    assert [Path(name).name for name in diagnosis.without_loss] == ["notes.csv"]
