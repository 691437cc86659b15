"""What one PostgreSQL bears: its load by trial, measured, and how many trials a second a cluster gets, simulated.

One worker runs groups of trials, without training, and each phase is timed: how long the worker's own processor takes,
and how long the server. Real runs say how much more both take when 32 workers are at it. With these costs a simulation
of workers that queue for processors and for the rows that they lock is compared with real runs of 1, 8 and 32 workers
on this machine; then it is asked about workers that train elsewhere.

    python tests/benchmarks/cluster.py [--quick] [--output FOLDER]
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import psutil
import simpy
from claims import GROUP, RESULT, SPEC, STUDY, TRIALS, databases, fill, measure
from sqlalchemy import event, text

from gradstudy.storage.beginning import Beginning, begin_trials
from gradstudy.storage.claiming import claim_trials
from gradstudy.storage.database import Database
from gradstudy.storage.recorder import Ending, Steps, record
from gradstudy.storage.studies import find_study
from gradstudy.storage.workers import register_worker
from gradstudy.study.search.points import RandomSampler
from gradstudy.study.search.space import to_row
from gradstudy.study.worker.optuna_ask import Place, ask
from gradstudy.study.worker.optuna_tell import attributes

FINISHED = 1_000
KEPT = {"all of 300": 300, "10": 10, "none": 1}
"""What ``--keep-steps`` leaves of a trial, of which nothing stands out but its end."""
BUSY = 32
"""Workers at once, when a group costs more than alone: each one's code and data leave the processor's caches."""
QUANTUM = 0.002
"""Seconds after which a processor takes the next one who waits."""
ROUND_TRIP = 0.0005
"""Seconds between a worker and a server of one data centre, there and back."""
TABLES = ("gradstudy_step", "gradstudy_trial", "trials", "trial_params", "trial_values", "trial_user_attributes",
          "trial_system_attributes")  # fmt: skip


@dataclass
class Phase:
    """What a part of a worker's round costs for a group of trials.

    Attributes:
        worker: seconds of the worker's processor.
        server: seconds that it waits for the server, which has nobody else to serve.
        statements: that are sent, those that begin and end transactions among them.
    """

    worker: float
    server: float
    statements: int


PHASES = ("claim", "ask", "begin", "record")


def run_groups(url: str, groups: int, steps: int) -> dict[str, Phase]:
    """Run groups of trials as a worker does, and give the median of each phase."""
    found: dict[str, list[Phase]] = {name: [] for name in PHASES}
    losses = np.linspace(3.7, 2.0, steps)
    with Database.open(url) as database:
        sent = [0]
        for name in ("before_cursor_execute", "begin", "commit"):
            event.listen(database.engine, name, lambda *_: sent.__setitem__(0, sent[0] + 1))
        launched = find_study(database, STUDY)
        worker = register_worker(database.engine, "bench", os.getpid(), "cpu")
        study = optuna.load_study(study_name=STUDY, storage=database.optuna_storage, sampler=RandomSampler(seed=1))

        def timed(name: str, do: Any) -> Any:
            sent[0], wall, own = 0, time.perf_counter(), time.process_time()
            made = do()
            own = time.process_time() - own
            found[name].append(Phase(own, max(time.perf_counter() - wall - own, 0.0), sent[0]))
            return made

        for _ in range(groups):
            claimed = timed("claim", lambda: claim_trials(database.engine, launched, worker, int, wanted=GROUP))
            places = [Place(claim.ordinal) for claim in claimed]
            asked = timed("ask", lambda places=places: ask(study, SPEC, places))
            beginnings = [
                Beginning(claim, to_row(setting), trial) for claim, (setting, trial) in zip(claimed, asked, strict=True)
            ]
            begun = timed("begin", lambda each=beginnings: begin_trials(database.engine, each))
            series = Steps(loss=losses, grad_norm=losses, applied_norm=losses, learning_rate=1.0)
            endings = [
                Ending(claim=claim, result=RESULT, steps=series, attributes=attributes(RESULT), has_states=False)
                for claim in begun
                if claim is not None
            ]
            timed("record", lambda each=endings: record(database.engine, each))
    return {
        name: Phase(
            float(np.median([each.worker for each in phases[1:]])),
            float(np.median([each.server for each in phases[1:]])),
            int(np.median([each.statements for each in phases[1:]])),
        )
        for name, phases in found.items()
    }


def load(url: str, groups: int, steps: int) -> dict[str, Any]:
    """What a trial leaves in the database: bytes by table, and in the log that replicas and backups read."""
    sizes = " + ".join(f"pg_total_relation_size('{table}')" for table in TABLES)
    with Database.open(url) as database, database.engine.connect() as connection:
        asked = {
            "log": "SELECT pg_current_wal_lsn() - '0/0'",
            "steps": "SELECT pg_total_relation_size('gradstudy_step')",
            "all": f"SELECT {sizes}",
        }
        before = {name: float(connection.scalar(text(sql)) or 0) for name, sql in asked.items()}
        connection.rollback()
        phases = run_groups(url, groups, steps)
        trials = groups * GROUP
        after = {name: float(connection.scalar(text(sql)) or 0) for name, sql in asked.items()}
    each = {name: (after[name] - before[name]) / trials for name in asked}
    return {
        "statements": sum(phase.statements for phase in phases.values()) / GROUP,
        "server_ms": 1000 * sum(phase.server for phase in phases.values()) / GROUP,
        "worker_ms": 1000 * sum(phase.worker for phase in phases.values()) / GROUP,
        "log_bytes": each["log"],
        "step_bytes": each["steps"],
        "other_bytes": each["all"] - each["steps"],
        "phases": {name: asdict(phase) for name, phase in phases.items()},
    }


def server_seconds(folder: Path) -> float:
    """Seconds of processors that a server has had, all its processes together, those that have ended among them."""
    first = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))
    alive = 0.0
    for process in first.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # ended meanwhile: among those that are gone
            times = process.cpu_times()
            alive += times.user + times.system
    own = first.cpu_times()
    return alive + own.user + own.system + own.children_user + own.children_system


def busy(loads: dict[str, dict[str, Phase]], together: dict[str, float]) -> dict[str, dict[str, Phase]]:
    """What each phase costs when many are at it: as much more as a whole trial that keeps all its steps does."""
    alone = loads["all of 300"].values()
    worker = together["worker_ms"] * GROUP / 1000 / sum(phase.worker for phase in alone)
    server = together["server_ms"] * GROUP / 1000 / sum(phase.server for phase in alone)
    return {
        kept: {name: Phase(each.worker * worker, each.server * server, each.statements) for name, each in load.items()}
        for kept, load in loads.items()
    }


def simulate(
    phases: dict[str, Phase], workers: int, *, processors: int, seconds: float, training: float = 0.0,
    apart: bool = False, seed: int = 0,
) -> float:  # fmt: skip
    """Trials per second.

    Args:
        phases: of a group.
        workers: that run groups one after the other.
        processors: of the server; those of the workers, too, unless they are ``apart``.
        seconds: that are counted, after workers have trained for two groups.
        training: seconds that a group trains, which ends together.
        apart: whether workers have processors of their own, and a network between them and the server.
        seed: of the moments at which workers begin.
    """
    world, random = simpy.Environment(), np.random.default_rng(seed)
    cores = simpy.Resource(world, processors)
    # A claim holds the study's row, and so does who gives trials their numbers.
    rows = {"claim": simpy.Resource(world), "begin": simpy.Resource(world)}
    start, groups = 2 * training, [0]

    def compute(needed: float) -> Generator[Any]:
        while needed > 0:
            part = min(needed, QUANTUM)
            with cores.request() as turn:
                yield turn
                yield world.timeout(part)
            needed -= part

    def phase(name: str) -> Generator[Any]:
        cost = phases[name]
        if apart:
            yield world.timeout(cost.worker + ROUND_TRIP * cost.statements)
        else:
            yield from compute(cost.worker)
        yield from compute(cost.server)

    def worker() -> Generator[Any]:
        yield world.timeout(random.uniform(0, training))
        while True:
            for name in PHASES:
                if name == "record":
                    yield world.timeout(training)
                if name in rows:
                    with rows[name].request() as turn:
                        yield turn
                        yield from phase(name)
                else:
                    yield from phase(name)
            groups[0] += world.now >= start

    for _ in range(workers):
        world.process(worker())
    world.run(start + seconds)
    return groups[0] * GROUP / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it runs")
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    groups, many, trials = (4, [1, 4], 64) if given.quick else (40, [1, 8, BUSY], TRIALS)
    found: dict[str, Any] = {"cores": os.cpu_count(), "load": {}, "validation": [], "simulated": []}
    with tempfile.TemporaryDirectory(prefix="gradstudy-bench-") as folder, databases(Path(folder)) as backends:
        number = 0
        print("measured: | kept | statements | server ms | worker ms | log | bytes of steps | other bytes | a trial")
        for kept, steps in KEPT.items():
            url, number = backends["PostgreSQL"](number), number + 1
            fill(url, FINISHED, groups * GROUP, steps)
            found["load"][kept] = each = load(url, groups, steps)
            print(
                f"| {kept} | {each['statements']:.1f} | {each['server_ms']:.2f} | {each['worker_ms']:.2f} "
                f"| {each['log_bytes']:,.0f} | {each['step_bytes']:,.0f} | {each['other_bytes']:,.0f} |",
                flush=True,
            )
        phases = {kept: {name: Phase(**each) for name, each in one["phases"].items()}
                  for kept, one in found["load"].items()}  # fmt: skip
        for name, each in phases["all of 300"].items():
            print(f"{name}: worker {1000 * each.worker:.1f} ms, server {1000 * each.server:.1f} ms, {each.statements}")
        real: dict[int, dict[str, float]] = {}
        for workers in many:
            url, number = backends["PostgreSQL"](number), number + 1
            fill(url, FINISHED, trials + workers * GROUP)
            before = server_seconds(Path(folder) / "postgresql")
            real[workers] = measure(url, workers)
            served = server_seconds(Path(folder) / "postgresql") - before
            real[workers]["server_ms"] = 1000 * served / (trials + workers * GROUP)
        phases = busy(phases, real[many[-1]])
        for workers, each in real.items():
            said = simulate(phases["all of 300"], workers, processors=os.cpu_count() or 1, seconds=20)
            found["validation"].append({"workers": workers, **each, "simulated": said})
            print(
                f"| {workers} workers | measured {each['trials_per_second']:.0f} | simulated {said:.0f} trials/s "
                f"| of a processor, ms a trial: worker {each['worker_ms']:.1f}, server {each['server_ms']:.1f} |",
                flush=True,
            )
    for kept, processors, training, workers in product(
        ("all of 300", "10"), (2, 16), (10.0, 60.0, 600.0), (10, 100, 1_000, 5_000)
    ):
        rate = simulate(
            phases[kept], workers, processors=processors, seconds=max(20.0, training), training=training, apart=True
        )
        most = workers * GROUP / training
        found["simulated"].append(
            {"kept": kept, "processors": processors, "training": training, "workers": workers, "rate": rate}
        )
        print(f"| {kept} | {processors} | {training:g} s | {workers:,} | {rate:,.0f} of {most:,.0f} |", flush=True)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "cluster.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
