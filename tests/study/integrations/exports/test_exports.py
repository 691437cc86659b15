"""Studies that were written for other programs, read back by these programs' own libraries."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gradstudy.storage.database import Database
from gradstudy.study import open_study
from gradstudy.study.integrations.exports.exported_run import answer_in_words, exported_runs
from gradstudy.study.integrations.logs import wandb_log
from gradstudy.study.opened_study import OpenStudy

SERIES = ("loss", "grad_norm", "applied_norm", "learning_rate")
# Of the libraries themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*noload.*loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore:unclosed.*:ResourceWarning"),
]


@pytest.fixture
def study(finished: Database) -> Iterator[OpenStudy]:
    with open_study("s", f"sqlite:///{finished.path}") as opened:
        yield opened


def written(study: OpenStudy, folder: Path, write: Any) -> pd.DataFrame:
    """Write a study; its trials by name of their run, with ``answer``."""
    report = study.summary()
    total, runs = exported_runs(report, study.trials(), study.steps)
    made = list(write(runs, study.name, answer_in_words(report), folder))
    trials = study.trials()
    assert len(made) == total == len(trials)
    answer = report.recommendation
    assert answer is not None
    setting = trials.set_index("number").loc[answer.setting.number]
    alike = (trials["learning_rate"] == setting["learning_rate"]) & (trials["strategy"] == setting["strategy"])
    return trials.assign(answer=alike).set_axis([run.name for run in made])


def series_of(study: OpenStudy, number: int) -> dict[str, list[float]]:
    steps = study.steps([number])
    return {name: steps[name].dropna().tolist() for name in SERIES if steps[name].notna().any()}


def test_mlflow_reads_what_was_written(study: OpenStudy, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    from gradstudy.study.integrations.exports.to_mlflow import to_mlflow

    trials = written(study, tmp_path, to_mlflow)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("s")
    assert experiment.tags["answer"] == answer_in_words(study.summary())
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == set(trials.index)
    for name, row in trials.iterrows():
        data = runs[name].data
        assert (data.params["cell"], float(data.params["learning_rate"])) == (row["cell"], row["learning_rate"])
        assert (data.tags["outcome"], data.tags["answer"]) == (row["outcome"], str(row["answer"]).lower())
        assert data.metrics["objective"] == row["objective"]
        assert runs[name].info.status == "FINISHED"
    for name, row in trials.head(3).iterrows():
        for key, values in series_of(study, row["number"]).items():
            history = client.get_metric_history(runs[name].info.run_id, key)
            assert [(each.step, each.value) for each in history] == list(enumerate(values))


def test_tensorboard_reads_what_was_written(study: OpenStudy, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from gradstudy.study.integrations.exports.to_tensorboard import to_tensorboard

    trials = written(study, tmp_path, to_tensorboard)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == set(trials.index)
    for name, row in trials.iterrows():
        read = EventAccumulator(str(tmp_path / str(name)), {"scalars": 0})
        read.Reload()
        for key, values in series_of(study, row["number"]).items():
            events = read.Scalars(key)
            assert [event.step for event in events] == list(range(len(values)))
            assert [event.value for event in events] == pytest.approx(values, rel=1e-6)
        (objective,) = read.Scalars("objective")
        assert objective.value == pytest.approx(row["objective"], rel=1e-6)
        assert "_hparams_/session_start_info" in read.summary_metadata
        begin = read.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        assert row["strategy"].encode() in begin
        assert row["outcome"].encode() in begin
    text = EventAccumulator(str(tmp_path))
    text.Reload()
    assert "answer/text_summary" in text.Tags()["tensors"]


def test_wandb_reads_what_was_written(study: OpenStudy, tmp_path: Path) -> None:
    from wandb.proto import wandb_internal_pb2

    from gradstudy.study.integrations.exports.to_wandb import to_wandb

    trials = written(study, tmp_path, to_wandb)
    found: dict[str, dict[str, Any]] = {}
    for path in (tmp_path / "wandb").glob("offline-run-*/*.wandb"):
        with path.open("rb") as file:  # W&B reads the messages in Python, and the file only in its uploader
            file.read(wandb_log.FILE_HEADER)
            records = [wandb_internal_pb2.Record.FromString(content) for content in wandb_log._records(file)]
        run = next(record.run for record in records if record.HasField("run"))
        rows = [
            {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            for record in records
            if record.HasField("history")
        ]
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        found[run.display_name] = {"config": config, "rows": rows, "tags": list(run.tags), "project": run.project}
    assert set(found) == set(trials.index)
    for name, row in trials.iterrows():
        run_found = found[str(name)]
        assert run_found["project"] == "s"
        assert sorted(run_found["tags"]) == sorted([row["outcome"], *(["answer"] if row["answer"] else [])])
        assert run_found["config"]["learning_rate"] == row["learning_rate"]
        for key, values in series_of(study, row["number"]).items():
            assert [each[key] for each in run_found["rows"] if key in each] == values


def test_what_is_not_finite_is_left_out(sqlite_url: str) -> None:
    from gradstudy.study.integrations import record_run

    with record_run("r", storage=sqlite_url, learning_rate=0.1, factors={"batch": 8}) as run:
        run.step(4.0, grad_norm=1.0)
        run.step(math.nan, grad_norm=math.inf)
    with open_study("r", sqlite_url) as study:
        total, runs = exported_runs(study.summary(), study.trials(), study.steps)
        (made,) = runs
    assert total == 1
    assert made.series == {
        "loss": ([0], [4.0]), "grad_norm": ([0], [1.0]), "learning_rate": ([0, 1], [0.1, 0.1]),
    }  # fmt: skip
    assert made.params == {"cell": "model", "strategy": "as written", "learning_rate": 0.1, "seed": 0, "batch": 8}
    assert "validation_loss" not in made.measured
    assert made.labels == {
        "study": "r", "number": "0", "outcome": "diverged", "reason": "non_finite_loss", "diverged_at_step": "1",
        "answer": "false",
    }  # fmt: skip


def test_steps_are_read_in_parts(study: OpenStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [run.series for run in exported_runs(study.summary(), study.trials(), study.steps)[1]]
    asked = []

    def read(numbers: Sequence[int]) -> pd.DataFrame:
        asked.append(numbers)
        return study.steps(numbers)

    monkeypatch.setattr("gradstudy.study.integrations.exports.exported_run.TRIALS_AT_ONCE", 5)
    _, runs = exported_runs(study.summary(), study.trials(), read)
    next(runs)
    assert asked == [[0, 1, 2, 3, 4]]
    assert [run.series for run in runs] == whole[1:]
