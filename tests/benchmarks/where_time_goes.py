"""Where a worker's time goes: one worker runs a study, and its threads are looked at every few milliseconds.

python tests/benchmarks/where_time_goes.py [--quick] [--output FOLDER]
"""

import argparse
import json
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import torch

from gradstudy.models.warm_up import load_kernels
from gradstudy.storage.database import Database
from gradstudy.storage.results import TrialResult
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.data import load_data
from gradstudy.study.training.slots import choose_slots
from gradstudy.study.worker.job import Job
from gradstudy.study.worker.worker import Worker

SECONDS_BETWEEN_LOOKS = 0.003
WHAT = (
    ("models/tasks/", "data"),
    ("array.py:train", "training"),
    ("array.py:initial_loss", "measuring"),
    ("array.py:validation_loss", "measuring"),
    ("samplers", "sampler"),
    ("optuna/storages", "database"),
    ("gradstudy/storage", "database"),
    ("storage/", "database"),
    ("worker.py:_admit", "waiting for a trial"),
    ("worker.py:_report", "waiting for the books"),
    ("bookkeeping.py", "bookkeeping"),
)
"""The innermost frame that matches says what a thread is doing."""


class Silent:
    def started(self, ordinal: int) -> None: ...

    def finished(self, ordinal: int, result: TrialResult) -> None: ...

    def waiting(self, message: str) -> None: ...


def doing(frame: FrameType | None) -> str:
    while frame is not None:
        place = f"{frame.f_code.co_filename}:{frame.f_code.co_name}"
        for part, activity in WHAT:
            if part in place:
                return activity
        frame = frame.f_back
    return "other"


def watch(main: int, end: threading.Event, seen: dict[str, Counter[str]]) -> None:
    while not end.wait(SECONDS_BETWEEN_LOOKS):
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            if ident == main:
                seen["training thread"][doing(frame)] += 1
            elif str(names.get(ident)).startswith("bookkeeping"):
                seen["bookkeeping thread"][doing(frame)] += 1


def measure(hidden: int, trials: int, steps: int) -> dict[str, object]:
    spec = StudySpec.model_validate(
        {
            "name": "s",
            "task": "cmudict",
            "trials": trials,
            "steps": steps,
            "model": {"hidden_size": hidden},
            "space": {"strategies": ["none", "norm", "value"], "learning_rate": [0.01, 1.0]},
        }
    )
    data = load_data(spec)
    with tempfile.TemporaryDirectory() as folder, Database.open(f"sqlite:///{folder}/s.db", create=True) as database:
        record = create_or_resume(database, spec)
        slots = choose_slots(spec, data, "cpu")
        worker = Worker(Job(database, record, spec, data), slots=slots, listener=Silent())
        seen: dict[str, Counter[str]] = {"training thread": Counter(), "bookkeeping thread": Counter()}
        end = threading.Event()
        watcher = threading.Thread(target=watch, args=(threading.get_ident(), end, seen), daemon=True)
        watcher.start()
        start = time.perf_counter()
        worker.run(threading.Event())
        elapsed = time.perf_counter() - start
        end.set()
        watcher.join()
    shares = {
        thread: {activity: count / counts.total() for activity, count in counts.most_common()}
        for thread, counts in seen.items()
    }
    return {
        "hidden": hidden,
        "trials": trials,
        "steps": steps,
        "slots": slots,
        "seconds": elapsed,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "shares": shares,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer trials")
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    load_kernels()  # as a worker does while it waits for its study
    result = measure(32, 48 if options.quick else 96, 300)
    lines = [
        f"{result['trials']} trials of {result['steps']} steps, hidden {result['hidden']}, {result['slots']} slots: "
        f"{result['seconds']:.1f} s, at most {result['peak_mib']:.0f} MiB of memory",
        "",
        "| thread | activity | share of its time |",
        "|---|---|---|",
    ]
    shares = result["shares"]
    assert isinstance(shares, dict)
    lines += [
        f"| {thread} | {activity} | {share:.1%} |"
        for thread, activities in shares.items()
        for activity, share in activities.items()
    ]
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "where_time_goes.md").write_text("\n".join(lines) + "\n")
    (options.output / "where_time_goes.json").write_text(json.dumps(result, indent=1))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
