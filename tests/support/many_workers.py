"""A thousand workers in a few processes, each a thread with a connection of its own to PgBouncer."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import psycopg.rows
from one_trial import begin_trial, claim_trial, record_trial
from sqlalchemy import make_url
from waiting import PATIENCE_SECONDS, until

from gradstudy.storage.database import Database
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.recorder import Steps
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.storage.studies import find_study
from gradstudy.storage.workers import register_worker

WORKERS = 1000
PROCESSES = 4
SETTING = SettingRow(cell="lstm", strategy="norm", threshold=1.0, learning_rate=0.1)


def work_in_threads(url: str) -> list[int]:
    """A part of the workers, none of which claims before all are connected; the ordinals that were recorded."""
    many = WORKERS // PROCESSES
    connected = threading.Barrier(many, lambda: until(lambda: len(clients(url)) == WORKERS))
    ended = threading.Barrier(many, timeout=PATIENCE_SECONDS)

    def work(place: int) -> list[int]:
        recorded = []
        with Database.open(url) as db:
            study = find_study(db, "s")
            worker = register_worker(db.engine, "here", place, "cpu")  # its connection stays open
            connected.wait()
            while claim := claim_trial(db.engine, study, worker, int):
                claim = begin_trial(db.engine, claim, SETTING)
                steps = Steps(loss=[3.0, 2.0], grad_norm=1.0, applied_norm=1.0, learning_rate=0.1)
                if record_trial(db.engine, claim, TrialResult(outcome=Outcome.TRAINED, steps=2, objective=2.0), steps):
                    recorded.append(claim.ordinal)
            ended.wait()
        return recorded

    with ThreadPoolExecutor(many) as pool:
        return [ordinal for each in pool.map(work, range(many)) for ordinal in each]


def clients(url: str) -> list[str]:
    """The connections that PgBouncer has to a database, as its console says."""
    address = make_url(url)
    with (
        psycopg.connect(
            host=address.host, port=address.port, user=address.username, dbname="pgbouncer", autocommit=True
        ) as console,
        console.cursor(row_factory=psycopg.rows.dict_row) as cursor,
    ):
        return [row["addr"] for row in cursor.execute("SHOW CLIENTS") if row["database"] == address.database]
