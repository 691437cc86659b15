"""What a launch with workers loads into the process that only watches them."""

import subprocess
import sys

HEAVY = {"torch", "numba", "pandas", "scipy"}
SCRIPT = """
import sys
from gradstudy.scripts.main import app
try:
    app(sys.argv[1:])
except SystemExit as exit:
    assert exit.code == 0
print(*sys.modules, file=sys.stderr)
"""


def loaded_by(*words: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_who_launches_workers_and_watches_them_does_not_load_what_trains(tmp_path):
    study = ["--task", "copy", "--task-option", "examples=200", "--hidden", "8", "--trials", "4", "--steps", "5"]
    loaded = loaded_by("launch", "tiny", *study, "--workers", "2", "--storage", f"sqlite:///{tmp_path}/tiny.db")
    assert {"sqlalchemy", "optuna"} <= loaded
    assert HEAVY.isdisjoint(loaded)
