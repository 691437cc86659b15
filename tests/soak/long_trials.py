"""Trials of 5,000 steps, a worker of which is killed every 30 seconds: all end, and none repeats more than a minute.

Workers write down how far each trial is after every block of steps: from that follows what was trained twice.

python tests/soak/long_trials.py [--steps N] [--trials N] [--seconds N]
"""

import argparse
import os
import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import pandas as pd
from storm import Storm, work

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.arrays import Ended, Slots
from gradstudy.study.worker.checkpointing import SECONDS_BETWEEN

WORKERS = 2
SLACK = 5.0
"""Seconds that a crowded machine may need to write a state down."""
COLUMNS = ["trial", "attempt", "before", "step", "began", "at"]


def work_and_tell(log: str, *arguments: Any) -> None:
    """A worker that writes down a line for each trial after every block of steps."""
    file = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    advance = Slots.advance

    def told(slots: Slots[Any], *given: int) -> list[Ended[Any]]:
        before, began = {key.claim.id: step for key, step in slots.steps()}, time.time()
        ended = advance(slots, *given)
        after = [*slots.steps(), *((each.key, each.trial.monitor.steps) for each in ended)]
        for key, step in after:
            row = (key.claim.id, key.claim.attempt, before[key.claim.id], step, began, time.time())
            os.write(file, (" ".join(map(str, row)) + "\n").encode())
        return ended

    Slots.advance = told  # type: ignore[method-assign]
    work(*arguments)


def trained_twice(log: Path) -> pd.DataFrame:
    """The ``steps`` and ``seconds`` of training that were repeated by each attempt of a trial but the first."""
    told = pd.read_csv(log, sep=" ", names=COLUMNS)
    rows = []
    for (trial, attempt), blocks in told.groupby(["trial", "attempt"]):
        lost = told[(told["trial"] == trial) & (told["attempt"] < attempt)]
        if lost.empty:
            continue
        last = lost[lost["attempt"] == lost["attempt"].max()]
        again = last[last["step"] > blocks["before"].min()]
        rows.append({
            "trial": trial, "attempt": attempt, "steps": int((again["step"] - again["before"]).sum()),
            "seconds": float((again["at"] - again["began"]).sum()),
            "elapsed": float(again["at"].max() - again["began"].min()) if len(again) else 0.0,
        })  # fmt: skip
    return pd.DataFrame(rows, columns=["trial", "attempt", "steps", "seconds", "elapsed"])


def storm(spec: StudySpec, url: str, seconds: float, log: Path) -> int:
    """Kill a worker again and again until the study has ended; returns how many were."""
    draw, kills, due = random.Random(0), 0, time.monotonic() + seconds
    telling = partial(work_and_tell, str(log))
    with Storm(url, spec.name, workers=WORKERS, deadline=3600, target=telling) as weather:
        weather.let_go(spec.trials)

        def calm() -> bool:
            return weather.is_done() or time.monotonic() >= due

        while True:
            weather.until(calm)
            if weather.is_done():
                weather.until_done(0)
                return kills
            process = draw.choice(weather.processes)
            process.kill()
            process.join()
            kills, due = kills + 1, time.monotonic() + seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    values = {
        "name": "long", "task": "copy", "task_options": {"max_length": 8, "examples": 2000}, "batch_size": 16,
        "model": {"hidden_size": 32}, "steps": options.steps, "trials": options.trials, "sampler": "random",
        "space": {"strategies": ["norm", "zclip"], "learning_rate": [0.01, 3]},
    }  # fmt: skip
    spec = StudySpec.model_validate(values)
    with tempfile.TemporaryDirectory() as name:
        url, log = f"sqlite:///{name}/long.db", Path(name) / "told"
        with Database.open(url, create=True) as database:
            create_or_resume(database, spec)
        start = time.monotonic()
        kills = storm(spec, url, options.seconds, log)
        took = time.monotonic() - start
        with Database.open(url) as database:
            trials, steps = read_trials(database, spec.name), read_steps(database, spec.name)
        again = trained_twice(log)
    assert len(trials) == spec.trials
    assert trials["outcome"].isin(["trained", "stalled", "diverged"]).all(), trials["outcome"].tolist()
    recorded = steps.groupby("number")["step"].agg(["count", "max"])
    assert (recorded["count"] == recorded["max"] + 1).all()
    assert len(again), "no worker was killed while it trained: give more trials"
    # A block that was under way, and what is written after a minute, come on top of it.
    assert (again["elapsed"] <= SECONDS_BETWEEN + SLACK).all(), again.to_string()
    kept = trials["seconds"].sum()
    repeated, made = again["steps"].sum(), trials["steps"].sum()
    print(
        f"{kills} workers killed in {took:.0f} s; {spec.trials} trials of {spec.steps} steps ended, attempts "
        f"{sorted(trials['attempt'])}; kept {kept:.0f} s of training of their trials\ntrained twice: {repeated:,} of "
        f"{made:,} steps; at once at most {again['steps'].max():,} steps, {again['elapsed'].max():.0f} s"
    )


if __name__ == "__main__":
    main()
