"""Trials of 5,000 steps, a worker of which is killed every 30 seconds: all end, and little is trained twice.

python tests/soak/long_trials.py [--steps N] [--trials N] [--seconds N]
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from storm import Storm

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import StudySpec

WORKERS = 2


def storm(spec: StudySpec, url: str, seconds: float) -> int:
    """Kill a worker again and again until the study has ended; returns how many were."""
    draw, kills, due = random.Random(0), 0, time.monotonic() + seconds
    with Storm(url, spec.name, workers=WORKERS, deadline=3600) as weather:
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
        url = f"sqlite:///{name}/long.db"
        with Database.open(url, create=True) as database:
            create_or_resume(database, spec)
        start = time.monotonic()
        kills = storm(spec, url, options.seconds)
        took = time.monotonic() - start
        with Database.open(url) as database:
            trials, steps = read_trials(database, spec.name), read_steps(database, spec.name)
    assert len(trials) == spec.trials
    assert trials["outcome"].isin(["trained", "stalled", "diverged"]).all(), trials["outcome"].tolist()
    recorded = steps.groupby("number")["step"].agg(["count", "max"])
    assert (recorded["count"] == recorded["max"] + 1).all()
    kept = trials["seconds"].sum()
    print(
        f"{kills} workers killed in {took:.0f} s; {spec.trials} trials of {spec.steps} steps ended, attempts "
        f"{sorted(trials['attempt'])}; kept {kept:.0f} s of training of their trials"
    )


if __name__ == "__main__":
    main()
