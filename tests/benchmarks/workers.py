"""What a second worker brings, and what it costs to start: launches with one and with two workers, in turns.

From the first start of a trial to the last end, by the database's clock; and of a tiny study, from command to prompt.

    python tests/benchmarks/workers.py [--quick] [--output FOLDER]
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

STUDY = ("--hidden", "32", "--trials", "160")
TINY = ("--trials", "4", "--steps", "20")
TRAINED = (
    "SELECT (julianday(max(finished_at)) - julianday(min(started_at))) * 86400 FROM gradstudy_trial "
    "WHERE finished_at IS NOT NULL"
)


def launch(options: tuple[str, ...], workers: int) -> dict[str, float]:
    """Seconds of a launch: of its trials, from command to prompt, and of the launching process on its core."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "study.db"
        command = [sys.executable, "-m", "gradstudy.scripts.main", "launch", "bench", "--task", "copy", *options]
        start = time.perf_counter()
        launcher = subprocess.Popen(
            [*command, "--workers", str(workers), "--storage", f"sqlite:///{database}"], stdout=subprocess.DEVNULL
        )
        _, status, used = os.wait4(launcher.pid, 0)  # its workers are another process's children
        wall = time.perf_counter() - start
        launcher.returncode = os.waitstatus_to_exitcode(status)
        assert launcher.returncode == 0, "the launch failed"
        with closing(sqlite3.connect(database)) as connection:
            ((trained,),) = connection.execute(TRAINED)
    return {"trained_s": trained, "wall_s": wall, "launcher_s": used.ru_utime + used.ru_stime}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of the tiny study")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    given = parser.parse_args()
    rounds = 1 if given.quick else given.rounds
    found = {}
    for name, options in (("tiny", TINY),) if given.quick else (("tiny", TINY), ("study", STUDY)):
        runs = [{workers: launch(options, workers) for workers in (1, 2)} for _ in range(rounds)]
        found[name] = runs
        for workers in (1, 2):
            medians = {key: statistics.median(run[workers][key] for run in runs) for key in runs[0][workers]}
            print(f"{name}, {workers} worker(s): " + ", ".join(f"{key} {value:.2f}" for key, value in medians.items()))
        ratios = [run[1]["trained_s"] / run[2]["trained_s"] for run in runs]
        print(f"{name}: two workers are {statistics.median(ratios):.2f} times as fast as one ({ratios})", flush=True)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "workers.json").write_text(json.dumps({"cores": os.cpu_count(), "runs": found}, indent=1))


if __name__ == "__main__":
    main()
