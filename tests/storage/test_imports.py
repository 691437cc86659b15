import subprocess
import sys

QUICK = ["claims", "database", "lost_workers", "progress", "queries", "recorder", "schema", "studies", "workers"]
HEAVY = {"torch", "optuna", "alembic", "pandas", "gradstudy.study", "gradstudy.models"}


def test_storage_starts_without_the_slow_packages() -> None:
    script = f"import sys\nfrom gradstudy.storage import {', '.join(QUICK)}\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(loaded.stdout.split())
