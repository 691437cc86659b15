"""Long storms: 8 workers on PostgreSQL and 4 on SQLite, killed at random until 300 trials have ended.

python tests/soak/storms.py [--seed N] [--kills N]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from storm import Storm, assert_nothing_is_lost

from gradstudy.storage.database import Database
from gradstudy.storage.embedded import EmbeddedServer
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import StudySpec

SPEC = StudySpec.model_validate(
    {
        "name": "storm",
        "task": "copy",
        "task_options": {"max_length": 6, "examples": 1000},
        "model": {"hidden_size": 16},
        "steps": 60,
        "batch_size": 16,
        "trials": 300,
        "space": {"strategies": ["none", "norm", "value"], "learning_rate": [0.001, 300]},
    }
)


def storm(url: str, workers: int, kills: int, seed: int) -> None:
    with Database.open(url, create=True) as database:
        create_or_resume(database, SPEC)
    start = time.monotonic()
    with Storm(url, SPEC.name, workers=workers, deadline=3600) as weather:
        weather.kill_at_random(kills, seed, SPEC.trials)
    assert_nothing_is_lost(url, SPEC)
    print(
        f"{url.partition(':')[0]}: {workers} workers, {kills} killed, {SPEC.trials} trials of {SPEC.steps} "
        f"steps in {time.monotonic() - start:.0f} s: nothing lost, nothing twice",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=25)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)  # for the user that PostgreSQL runs as
        storm(f"sqlite:///{name}/storm.db", 4, options.kills, options.seed)
        with EmbeddedServer.start(Path(name) / "server") as server:
            storm(server.url, 8, options.kills, options.seed)


if __name__ == "__main__":
    main()
