"""Time and memory of reports over a generated study of 10,000 trials with 1,000 steps each, 10 million rows.

    python tests/benchmarks/reports.py [--large] [--storage URL] [--trials 10000] [--steps 1000] [--output FOLDER]

``--large`` is 100,000 trials, 100 million rows: an SQLite file of 5.3 GB, which takes a quarter of an hour to make.
Without ``--storage`` it is an SQLite file in a temporary folder; a server's database must be empty. Each report runs in
a process of its own, as a person would run it; its time includes Python's start, its memory is that process's peak.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from sqlalchemy import Connection, insert, text

from gradstudy.storage.bins import half_decade
from gradstudy.storage.database import Database
from gradstudy.storage.ended import State, add_changes
from gradstudy.storage.results import Outcome
from gradstudy.storage.schema import Step, Trial
from gradstudy.storage.studies import Versions, create_study
from gradstudy.study.spec.study_spec import StudySpec

NAME = "generated"
INITIAL_LOSS = 3.7
BEGUN = datetime(2026, 1, 1)
TRIALS_AT_ONCE = 200
LARGE = 100_000
"""Trials of ``--large``."""
LIMITS = {10_000: {"terminal": (3.0, 500), "html": (10.0, 500)}, LARGE: {"terminal": (10.0, 500)}}
"""Seconds and MiB that each report may take, by the largest number of trials."""
MOST_MEGABYTES = 8
REPORT = "from gradstudy.scripts.main import main; main()"


def trial_rows(trials: int, steps: int, study_id: int) -> Iterator[dict[str, Any]]:
    """Trials whose outcomes follow a logistic edge that clipping moves."""
    spec, random = StudySpec(name=NAME), np.random.default_rng(0)
    low, high = np.log10(spec.space.learning_rate)
    for number in range(trials):
        cell = str(random.choice(spec.space.cells))
        strategy = str(random.choice(spec.space.strategies))
        bounds = spec.space.threshold_range(strategy)
        threshold = None if bounds is None else float(10 ** random.uniform(*np.log10(bounds)))
        decade = random.uniform(low, high)
        edge = 0.5 if bounds is None or threshold is None else 0.5 - 0.3 * np.log10(threshold / bounds[1])
        diverged = bool(random.random() < expit(6 * (decade - edge)))
        loss = None if diverged else float(INITIAL_LOSS - 1.2 * (decade - low) / (edge - low) + random.normal(0, 0.1))
        yield {
            "study_id": study_id, "ordinal": number, "trial_id": number + 1, "attempt": 1, "seed": number,
            "cell": cell, "strategy": strategy, "threshold": threshold, "threshold_bin": half_decade(threshold),
            "learning_rate": 10**decade, "learning_rate_bin": half_decade(10**decade), "factors": {},
            "outcome": Outcome.DIVERGED if diverged else Outcome.TRAINED, "reason": "blow_up" if diverged else None,
            "diverged_at_step": int(random.integers(steps)) if diverged else None, "steps": steps,
            "initial_loss": INITIAL_LOSS, "final_loss": loss, "initial_validation_loss": INITIAL_LOSS,
            "validation_loss": loss, "objective": INITIAL_LOSS if loss is None else loss,
            "grad_norm_p50": float(random.lognormal(-1, 0.3)), "grad_norm_p90": float(random.lognormal(-0.5, 0.3)),
            "grad_norm_max": float(random.lognormal(1, 0.5)), "clipped_fraction": float(random.random()),
            "spikes": 0, "skipped_steps": 0, "seconds": 1.0, "started_at": BEGUN,
            "finished_at": BEGUN + timedelta(seconds=1),
        }  # fmt: skip


def step_rows(first: int, count: int, steps: int) -> list[tuple[Any, ...]]:
    """All steps of some trials, also after a divergence, so that there are as many rows as there can be."""
    random = np.random.default_rng(first)
    losses = INITIAL_LOSS * np.exp(-np.arange(steps) / steps) + random.normal(0, 0.1, (count, steps))
    norms = random.lognormal(-1, 0.5, (count, steps))
    ids = np.repeat(np.arange(first, first + count), steps).tolist()
    columns = (np.tile(np.arange(steps), count), losses.ravel(), norms.ravel(), norms.ravel().clip(max=1.0))
    return list(zip(ids, *(column.tolist() for column in columns), [0.1] * len(ids), strict=True))


def generate(url: str, trials: int, steps: int) -> None:
    versions = Versions(gradstudy="0", optuna="0", torch="0")
    spec = StudySpec(name=NAME, trials=trials, steps=steps)
    with Database.open(url, create=True) as database:
        study_id = create_study(database, NAME, spec.model_dump(mode="json"), trials, versions).study_id
        with database.engine.begin() as connection:
            optuna = "INSERT INTO trials (trial_id, number, study_id, state) VALUES (:id, :number, :study, 'COMPLETE')"
            rows = [{"id": number + 1, "number": number, "study": study_id} for number in range(trials)]
            connection.execute(text(optuna), rows)
            rows = list(trial_rows(trials, steps, study_id))
            connection.execute(insert(Trial), rows)
            add_changes(connection, study_id, 0, [(State(None), State(row["outcome"])) for row in rows])
        for first in range(1, trials + 1, TRIALS_AT_ONCE):
            with database.engine.begin() as connection:
                insert_steps(connection, step_rows(first, min(TRIALS_AT_ONCE, trials + 1 - first), steps))
        with database.engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")


def insert_steps(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    if connection.dialect.name == "postgresql":
        with connection.connection.cursor().copy(f"COPY {Step.__tablename__} FROM STDIN") as copy:  # type: ignore[attr-defined]
            for row in rows:
                copy.write_row(row)
    else:
        connection.exec_driver_sql(f"INSERT INTO {Step.__tablename__} VALUES (?, ?, ?, ?, ?, ?)", rows)


def measure(url: str, form: str, file: Path) -> dict[str, Any]:
    words = [
        "report",
        NAME,
        "--storage",
        url,
        *(["--format", form, "--output", str(file)] if form != "terminal" else []),
    ]
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", REPORT, *words], stdout=subprocess.DEVNULL)
    _, status, usage = resource_usage(process.pid)
    seconds = time.perf_counter() - start
    assert status == 0, f"{form} failed"
    made = {
        "form": form,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),  # what remains of it on a machine that others use
        "peak_mib": round(usage.ru_maxrss / 1024),
    }
    return made | ({"file_mib": round(file.stat().st_size / 2**20, 2)} if form != "terminal" else {})


def resource_usage(pid: int) -> tuple[int, int, resource.struct_rusage]:
    """Wait for a process; its own peak, not the largest of all children."""
    return os.wait4(pid, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--large", dest="trials", action="store_const", const=LARGE)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.storage or f"sqlite:///{folder}/generated.db"
        start = time.perf_counter()
        generate(url, options.trials, options.steps)
        print(f"{options.trials * options.steps:,} rows in {time.perf_counter() - start:.0f} s", flush=True)
        rows = []
        for form in ("terminal", "html", "markdown", "json", "csv", "parquet"):
            rounds = [measure(url, form, Path(folder) / f"report.{form}") for _ in range(options.rounds)]
            rows.append(min(rounds, key=lambda made: made["seconds"]))
            print(rows[-1], flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "reports.json").write_text(json.dumps(rows, indent=1))
    limits = next((LIMITS[most] for most in sorted(LIMITS) if options.trials <= most), {})
    for row in rows:
        seconds, mebibytes = limits.get(row["form"], (np.inf, np.inf))
        within = row["seconds"] <= seconds and row["peak_mib"] <= mebibytes and row.get("file_mib", 0) <= MOST_MEGABYTES
        print(f"{row['form']}: {'within' if within else 'BEYOND'} its limits")


if __name__ == "__main__":
    main()
