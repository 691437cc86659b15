import subprocess
import sys
from pathlib import Path

from gradstudy.storage.database import Database
from gradstudy.storage.studies import Versions, create_study

PROCESSES = 4

CLAIM_ALL = """
import sys
from gradstudy.storage.claims import claim_trial, give_back
from gradstudy.storage.database import Database
from gradstudy.storage.workers import register_worker

with Database.open(sys.argv[1]) as db:
    worker = register_worker(db.engine, "here", 1, "cpu")
    once = True
    while claim := claim_trial(db.engine, 1, worker, lambda ordinal: ordinal):
        if claim.ordinal % 7 == 3 and once:
            once = False
            assert give_back(db.engine, claim)
        else:
            print(claim.ordinal)
"""

CREATE = """
import sys
from gradstudy.storage.database import Database
Database.open(sys.argv[1], create=True).close()
"""


def run_together(script: str, url: str) -> list[str]:
    processes = [
        subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES
    return outputs


def test_processes_that_claim_together_share_the_budget(db: Database, url: str) -> None:
    create_study(db, "s", {}, 40, Versions(gradstudy="0", optuna="5", torch="2"))
    claimed = [int(line) for output in run_together(CLAIM_ALL, url) for line in output.split()]
    assert sorted(claimed) == list(range(40))


def test_processes_that_create_together_make_one_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    run_together(CREATE, url)
    Database.open(url).close()
    assert not list(tmp_path.glob("*.lock"))
