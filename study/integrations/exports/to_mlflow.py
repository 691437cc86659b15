"""A study as an experiment of MLflow's, in a database of its own."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gradstudy.study.integrations.exports.exported_run import ExportedRun

AT_ONCE = 1000
"""Metrics of one request, the most that MLflow takes."""
PARAMS_AT_ONCE = 100
LONGEST_TAG = 5000
"""Characters of a tag that every store of MLflow's takes."""


def to_mlflow(runs: Iterable[ExportedRun], study: str, answer: str, folder: Path) -> Iterator[ExportedRun]:
    """Write runs to ``mlflow.db`` of a folder; each is given back when it is written.

    Args:
        runs: of the study.
        study: its name, and that of the experiment.
        answer: a tag of the experiment.
        folder: that is there.
    """
    from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]

    for name in ("mlflow", "alembic"):  # how it makes its tables is not for the users of gradstudy
        logging.getLogger(name).setLevel(logging.WARNING)
    client = MlflowClient(f"sqlite:///{folder.absolute() / 'mlflow.db'}")
    artifacts = (folder / "artifacts").absolute().as_uri()
    experiment = client.create_experiment(study, artifact_location=artifacts, tags={"answer": answer[:LONGEST_TAG]})
    for run in runs:
        _write(client, experiment, run)
        yield run


def _write(client: Any, experiment: str, run: ExportedRun) -> None:
    from mlflow.entities import Metric, Param  # pyright: ignore[reportMissingImports]

    began = int(1000 * run.began)
    ended = began + int(1000 * run.seconds)
    made = client.create_run(experiment, start_time=began, run_name=run.name, tags=run.labels)
    key = made.info.run_id
    params = [Param(name, str(value)) for name, value in run.params.items()]
    for first in range(0, len(params), PARAMS_AT_ONCE):
        client.log_batch(key, params=params[first : first + PARAMS_AT_ONCE])
    metrics = [Metric(name, value, ended, run.steps) for name, value in run.measured.items()]
    for name, (steps, values) in run.series.items():
        times = (int(1000 * run.time_of(step)) for step in steps)
        metrics += [Metric(name, *row) for row in zip(values, times, steps, strict=True)]
    for first in range(0, len(metrics), AT_ONCE):
        client.log_batch(key, metrics=metrics[first : first + AT_ONCE])
    client.set_terminated(key, "FAILED" if run.failed else "FINISHED", ended)
