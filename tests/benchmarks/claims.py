"""What the database costs a worker: trials per second, and how long a claim takes, without any training.

Each worker process claims trials, asks Optuna for three parameters at random, attaches the trial, writes its steps and
its result, and tells Optuna. The database holds finished trials with all their steps from the start.

    python tests/benchmarks/claims.py [--quick] [--output FOLDER]
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import product
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from sqlalchemy import MetaData, insert, text

from gradstudy.storage.claims import SettingRow, attach_trial, claim_trial
from gradstudy.storage.database import Database
from gradstudy.storage.embedded import EmbeddedServer
from gradstudy.storage.recorder import Steps, record
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.storage.schema import Trial
from gradstudy.storage.studies import Versions, create_study, find_study
from gradstudy.storage.workers import register_worker
from gradstudy.study.worker.optuna_tell import attributes, tell

STUDY = "bench"
STEPS = 300
TRIALS = 256
"""Trials that are run in each measurement, by all workers together."""

DISTRIBUTION = optuna.distributions.distribution_to_json(optuna.distributions.FloatDistribution(1e-3, 100, log=True))

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["optuna", "gradstudy.study.worker.optuna_tell", "gradstudy.storage.recorder"])

RESULT = TrialResult(
    outcome=Outcome.TRAINED, steps=STEPS, initial_loss=3.7, final_loss=2.0, validation_loss=2.1, objective=2.1,
    grad_norm_p50=1.0, grad_norm_p90=2.0, grad_norm_max=9.0, clipped_fraction=0.5, seconds=1.0,
)  # fmt: skip


def work(url: str, barrier: Barrier, results: Any) -> None:
    """Run trials until there are none; put (start, end, seconds of each claim, seconds of each trial)."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    losses = np.linspace(3.7, 2.0, STEPS)
    claims, trials = [], []
    with Database.open(url) as database:
        sampler = optuna.samplers.RandomSampler(seed=os.getpid())
        study = optuna.load_study(study_name=STUDY, storage=database.optuna_storage, sampler=sampler)
        launched = find_study(database, STUDY)
        worker = register_worker(database.engine, "bench", os.getpid(), "cpu")
        barrier.wait()
        start = time.time()
        while True:
            begun = time.perf_counter()
            claim = claim_trial(database.engine, launched, worker, int)
            if claim is None:
                break
            claims.append(time.perf_counter() - begun)
            trial = study.ask()
            setting = SettingRow(
                cell=trial.suggest_categorical("cell", ["lstm", "gru"]),
                strategy="norm",
                threshold=trial.suggest_float("threshold", 0.01, 10, log=True),
                learning_rate=trial.suggest_float("learning_rate", 1e-3, 100, log=True),
                factors={},
            )
            claim = attach_trial(database.engine, claim, trial._trial_id, setting)
            steps = Steps(loss=losses, grad_norm=losses, applied_norm=losses, learning_rate=setting.learning_rate)
            record(database.engine, claim, RESULT, steps, attributes(RESULT))
            tell(database.optuna_storage, trial._trial_id, RESULT)
            trials.append(time.perf_counter() - begun)
    results.put((start, time.time(), claims, trials))


def measure(url: str, workers: int) -> dict[str, float]:
    """Let so many workers run what is left of the budget."""
    barrier, results = CONTEXT.Barrier(workers), CONTEXT.Queue()
    processes = [CONTEXT.Process(target=work, args=(url, barrier, results)) for _ in range(workers)]
    for process in processes:
        process.start()
    found = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    claims = np.concatenate([claims for _, _, claims, _ in found])
    trials = np.concatenate([trials for _, _, _, trials in found])
    seconds = max(end for _, end, _, _ in found) - min(start for start, _, _, _ in found)
    return {
        "trials": len(trials),
        "trials_per_second": len(trials) / seconds,
        "claim_median_ms": 1000 * float(np.median(claims)),
        "claim_p95_ms": 1000 * float(np.percentile(claims, 95)),
        "trial_median_ms": 1000 * float(np.median(trials)),
        "trial_p95_ms": 1000 * float(np.percentile(trials, 95)),
    }


def fill(url: str, finished: int, trials: int) -> None:
    """Make a study with finished trials, and a budget that leaves some."""
    with Database.open(url, create=True) as database:
        versions = Versions(gradstudy="0", optuna="5", torch="2")
        study_id = create_study(database, STUDY, {}, finished + trials, versions).study_id
        worker = register_worker(database.engine, "past", 1, "cpu")
        then = datetime(2026, 1, 1)  # without a zone, as Optuna has it
        times = {"datetime_start": then, "datetime_complete": then}
        ids = range(1, finished + 1)
        optunas = MetaData()
        with database.engine.begin() as connection:
            optunas.reflect(connection, only=["trials", "trial_values", "trial_params"])
            rows = {
                "trials": [{"number": i - 1, "study_id": study_id, "state": "COMPLETE", **times} for i in ids],
                "trial_values": [{"trial_id": i, "objective": 0, "value": 2.0, "value_type": "FINITE"} for i in ids],
                "trial_params": [
                    {
                        "trial_id": i,
                        "param_name": "learning_rate",
                        "param_value": 1.0,
                        "distribution_json": DISTRIBUTION,
                    }
                    for i in ids
                ],
            }
            for name, made in rows.items():
                connection.execute(insert(optunas.tables[name]), made)
            past = {
                "study_id": study_id, "worker_id": worker, "attempt": 1, "seed": 1, "cell": "lstm", "strategy": "norm",
                "threshold": 1.0, "learning_rate": 1.0, "factors": {}, **RESULT.columns(),
            }  # fmt: skip
            connection.execute(insert(Trial), [{"ordinal": i - 1, "trial_id": i, **past} for i in ids])
            connection.execute(
                text(
                    "INSERT INTO gradstudy_step WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n "
                    f"WHERE i + 1 < {STEPS}) SELECT trial_id, i, 2.0, 1.0, 1.0, 1.0 FROM trials, n"
                )
            )


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, Any]]:
    """Where a new database can be made, by backend and number."""
    folder.chmod(0o711)  # for the user that PostgreSQL runs as
    with EmbeddedServer.start(folder / "postgresql") as server:

        def postgresql(number: int) -> str:
            server.create_database(f"bench_{number}")
            return server.url_of(f"bench_{number}")

        yield {"SQLite": lambda number: f"sqlite:///{folder}/bench_{number}.db", "PostgreSQL": postgresql}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it runs")
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    many, past, trials = ([1, 4], [100], 24) if given.quick else ([1, 8, 32, 64], [100, 1_000, 10_000], TRIALS)
    rows = []
    with tempfile.TemporaryDirectory(prefix="gradstudy-bench-") as folder, databases(Path(folder)) as backends:
        print("| database | finished trials | workers | trials/s | claim median, p95 (ms) | trial median, p95 (ms) |")
        print("|---|---|---|---|---|---|")
        for backend, finished, workers in product(backends, past, many):
            url = backends[backend](len(rows))
            fill(url, finished, trials)
            measured = measure(url, workers)
            rows.append({"database": backend, "finished": finished, "workers": workers, **measured})
            print(
                f"| {backend} | {finished:,} | {workers} | {measured['trials_per_second']:.0f} "
                f"| {measured['claim_median_ms']:.1f}, {measured['claim_p95_ms']:.1f} "
                f"| {measured['trial_median_ms']:.1f}, {measured['trial_p95_ms']:.1f} |",
                flush=True,
            )
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "claims.json").write_text(json.dumps({"cores": os.cpu_count(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
