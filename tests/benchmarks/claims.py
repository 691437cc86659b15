"""What the database costs a worker: trials per second, and how long a claim takes, without any training.

Each worker process claims trials for its slots, draws their settings, begins them, and writes their steps and results,
as a worker of a study does. The database holds finished trials with all their steps from the start. The first group of
each worker is not counted: it loads what the others find in memory, once in the life of a worker.

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
from itertools import product, repeat
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from gradstudy.storage.beginning import Beginning, begin_trials
from gradstudy.storage.claiming import claim_trials
from gradstudy.storage.database import Database
from gradstudy.storage.embedded import EmbeddedServer
from gradstudy.storage.ended import State, add_changes
from gradstudy.storage.recorder import Ending, Steps, record
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.storage.studies import Versions, create_study, find_study
from gradstudy.storage.workers import register_worker
from gradstudy.study.search.points import RandomSampler
from gradstudy.study.search.space import to_row
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.worker.optuna_ask import Place, ask
from gradstudy.study.worker.optuna_tell import attributes

STUDY = "bench"
STEPS = 300
TRIALS = 4096
"""Trials that are measured, by all workers together, when they go in groups."""
FILLED_AT_ONCE = 10_000
GROUP = 16
"""Slots of a worker: so many trials begin and end together."""
ONE_BY_ONE = 1_000
"""Finished trials beside which workers of one slot are measured, too."""
SPEC = StudySpec.model_validate({"name": STUDY, "sampler": "random"})

DISTRIBUTION = optuna.distributions.distribution_to_json(optuna.distributions.FloatDistribution(1e-3, 100, log=True))

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["optuna", "gradstudy.study.worker.optuna_ask", "gradstudy.storage.recorder"])

RESULT = TrialResult(
    outcome=Outcome.TRAINED, steps=STEPS, initial_loss=3.7, final_loss=2.0, validation_loss=2.1, objective=2.1,
    grad_norm_p50=1.0, grad_norm_p90=2.0, grad_norm_max=9.0, clipped_fraction=0.5, seconds=1.0,
)  # fmt: skip


def work(url: str, group: int, barrier: Barrier, results: Any) -> None:
    """Run trials until there are none; put (start, end, seconds of each claim and group, trials, of the processor)."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    losses = np.linspace(3.7, 2.0, STEPS)
    claims, groups, trials = [], [], 0
    with Database.open(url) as database:
        launched = find_study(database, STUDY)
        worker = register_worker(database.engine, "bench", os.getpid(), "cpu")
        sampler = RandomSampler(seed=1)
        study = optuna.load_study(study_name=STUDY, storage=database.optuna_storage, sampler=sampler)
        start, processor = None, 0.0
        while True:
            if len(groups) == 1 and start is None:
                barrier.wait()
                start, processor = time.time(), time.process_time()
                claims, groups, trials = [], [], 0
            began = time.perf_counter()
            claimed = claim_trials(database.engine, launched, worker, int, wanted=group)
            if not claimed:
                break
            claims.append(time.perf_counter() - began)
            asked = ask(study, SPEC, [Place(claim.ordinal) for claim in claimed])
            beginnings = [
                Beginning(claim, to_row(setting), trial) for claim, (setting, trial) in zip(claimed, asked, strict=True)
            ]
            begun = begin_trials(database.engine, beginnings)
            steps = Steps(loss=losses, grad_norm=losses, applied_norm=losses, learning_rate=1.0)
            endings = [
                Ending(claim=claim, result=RESULT, steps=steps, attributes=attributes(RESULT), has_states=False)
                for claim in begun
                if claim is not None
            ]
            assert record(database.engine, endings) == [True] * len(claimed)
            groups.append(time.perf_counter() - began)
            trials += len(claimed)
    results.put((start, time.time(), claims, groups, trials, time.process_time() - processor))


def measure(url: str, workers: int, group: int = GROUP) -> dict[str, float]:
    """Let so many workers run what is left of the budget, each of them ``group`` trials at once."""
    barrier, results = CONTEXT.Barrier(workers), CONTEXT.Queue()
    processes = [CONTEXT.Process(target=work, args=(url, group, barrier, results)) for _ in range(workers)]
    for process in processes:
        process.start()
    found = [results.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    claims = np.concatenate([claims for _, _, claims, *_ in found])
    groups = np.concatenate([groups for _, _, _, groups, *_ in found])
    trials = sum(trials for *_, trials, _ in found)
    seconds = max(end for _, end, *_ in found) - min(start for start, *_ in found)
    return {
        "trials": trials,
        "trials_per_second": trials / seconds,
        "worker_ms": 1000 * sum(processor for *_, processor in found) / trials,
        "claim_median_ms": 1000 * float(np.median(claims)),
        "claim_p95_ms": 1000 * float(np.percentile(claims, 95)),
        "group_median_ms": 1000 * float(np.median(groups)),
        "group_p95_ms": 1000 * float(np.percentile(groups, 95)),
    }


def fill(url: str, finished: int, trials: int, steps: int = STEPS) -> None:
    """Make a study with finished trials of so many kept steps, and a budget that leaves some."""
    with Database.open(url, create=True) as database:
        versions = Versions(gradstudy="0", optuna="5", torch="2")
        spec = SPEC.model_dump(mode="json")
        study_id = create_study(database, STUDY, spec, finished + trials, versions).study_id
        worker = register_worker(database.engine, "past", 1, "cpu")
        for first in range(1, finished + 1, FILLED_AT_ONCE):
            with database.engine.begin() as connection:
                for statement in filled(
                    range(first, min(first + FILLED_AT_ONCE, finished + 1)), study_id, worker, steps
                ):
                    connection.exec_driver_sql(statement)
        with database.engine.begin() as connection:
            one = State(None), State(RESULT.outcome)
            add_changes(connection, study_id, worker, repeat(one, finished))
        if database.path is None:
            with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM (ANALYZE)")  # as a server does by itself, some time later


def filled(ids: range, study_id: int, worker: int, steps: int) -> list[str]:
    """The statements that make trials which have ended, Optuna's rows and gradstudy's; the database counts ``ids``."""
    then = "'2026-01-01 00:00:00.000000'"  # without a zone, as Optuna has it
    result = {name: repr(value) for name, value in RESULT.columns().items() if value is not None}
    result["outcome"] = f"'{RESULT.outcome}'"

    def numbers(first: int, last: int) -> str:
        return f"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})"

    of_trials = numbers(ids[0], ids[-1])
    return [
        "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) "
        f"{of_trials} SELECT i - 1, {study_id}, 'COMPLETE', {then}, {then} FROM n",
        "INSERT INTO trial_values (trial_id, objective, value, value_type) "
        f"{of_trials} SELECT i, 0, 2.0, 'FINITE' FROM n",
        "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
        f"{of_trials} SELECT i, 'learning_rate', 1.0, '{DISTRIBUTION}' FROM n",
        "INSERT INTO gradstudy_trial (ordinal, trial_id, study_id, worker_id, attempt, seed, cell, strategy, "
        f"threshold, learning_rate, factors, started_at, finished_at, {', '.join(result)}) "
        f"{of_trials} SELECT i - 1, i, {study_id}, {worker}, 1, 1, 'lstm', 'norm', 1.0, 1.0, '{{}}', {then}, {then}, "
        f"{', '.join(result.values())} FROM n",
        f"INSERT INTO gradstudy_step {numbers(0, steps - 1)} SELECT trial_id, i, 2.0, 1.0, 1.0, 1.0 FROM trials, n "
        f"WHERE trial_id BETWEEN {ids[0]} AND {ids[-1]}",
    ]


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
    many, past = ([1, 4], [100]) if given.quick else ([1, 8, 32, 64], [100, 1_000, 10_000])
    rows = []
    with tempfile.TemporaryDirectory(prefix="gradstudy-bench-") as folder, databases(Path(folder)) as backends:
        print("| database | finished | workers | slots | trials/s | claim median, p95 (ms) | group median, p95 (ms) |")
        print("|---|---|---|---|---|---|---|")
        for backend, finished, workers, group in product(backends, past, many, [1, GROUP]):
            if group == 1 and finished != ONE_BY_ONE and not given.quick:
                continue
            url = backends[backend](len(rows))
            trials = TRIALS * group // GROUP // (16 if given.quick else 1)
            fill(url, finished, trials + workers * group)
            measured = measure(url, workers, group)
            rows.append({"database": backend, "finished": finished, "workers": workers, "slots": group, **measured})
            print(
                f"| {backend} | {finished:,} | {workers} | {group} | {measured['trials_per_second']:.0f} "
                f"| {measured['claim_median_ms']:.1f}, {measured['claim_p95_ms']:.1f} "
                f"| {measured['group_median_ms']:.1f}, {measured['group_p95_ms']:.1f} |",
                flush=True,
            )
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "claims.json").write_text(json.dumps({"cores": os.cpu_count(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
