"""What grows with the trials that have ended: what workers do, and what those look at who watch, without any training.

A database is filled with finished trials of ten steps each; then groups of 16 trials are claimed, asked for, begun and
recorded, and each look is made several times. Medians, in milliseconds.

    python tests/benchmarks/growth.py [--quick] [--output FOLDER]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import optuna
from claims import GROUP, STUDY, databases, fill
from cluster import PHASES, run_groups

from gradstudy.scripts.web.pages.overview import read_overview
from gradstudy.storage.database import Database
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.studies import find_study
from gradstudy.study.report.dashboard.refresh import _Refresher
from gradstudy.study.report.report_version import report_version
from gradstudy.study.worker.failures import FailureWatch
from gradstudy.study.worker.recovery import recover

KEPT = 10
"""Steps of each trial that are kept."""
GROUPS = 200
"""That are run in each database."""
TIMES = 20
"""How often each look is made."""
STATUS = [sys.executable, "-c", "from gradstudy.scripts.main import main; main()", "status", STUDY, "--storage"]


def looks(url: str) -> dict[str, float]:
    """How long each look takes, in milliseconds."""
    with Database.open(url) as database:
        record = find_study(database, STUDY)
        watch = FailureWatch(database, record)
        asked: dict[str, Callable[[], object]] = {
            "counts": lambda: count_outcomes(database.engine, record),
            "dashboard": _Refresher(database, print)._changed,
            "version": lambda: report_version(database, record),
            "list": lambda: read_overview(database, "", 1),
            "failures": watch.check,
            "watch": lambda: FailureWatch(database, record),
            "recover": lambda: recover(database, record),
        }
        return {name: statistics.median(timed(look) for _ in range(TIMES)) for name, look in asked.items()}


def timed(do: Callable[[], object]) -> float:
    """How long something takes, in milliseconds."""
    begun = time.perf_counter()
    do()
    return 1000 * (time.perf_counter() - begun)


def measure(url: str, groups: int = GROUPS) -> dict[str, float]:
    """What workers do with a group, what those do who watch, and the command, in milliseconds."""
    phases = run_groups(url, groups, KEPT)
    found = {name: 1000 * (phases[name].worker + phases[name].server) for name in PHASES}
    command = [timed(lambda: subprocess.run([*STATUS, url], check=True, stdout=subprocess.DEVNULL)) for _ in range(3)]
    return found | {"together": sum(found.values())} | looks(url) | {"command": statistics.median(command)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it runs")
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    past, groups = ([10, 100], 4) if given.quick else ([100, 10_000, 1_000_000], GROUPS)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="gradstudy-bench-") as folder, databases(Path(folder)) as backends:
        for backend, finished in product(backends, past):
            url = backends[backend](len(rows))
            fill(url, finished, groups * GROUP, KEPT)
            found = measure(url, groups)
            if not rows:
                print(f"| database | finished | {' | '.join(found)} |")
            rows.append({"database": backend, "finished": finished, **found})
            print(f"| {backend} | {finished:,} | {' | '.join(f'{each:.1f}' for each in found.values())} |", flush=True)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "growth.json").write_text(json.dumps({"cores": os.cpu_count(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
