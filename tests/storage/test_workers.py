from collections.abc import Callable
from typing import Any

from one_trial import claim_trial

from gradstudy.storage.claims import Claim
from gradstudy.storage.database import Database
from gradstudy.storage.lost_workers import Released, abandoned_workers, release_worker
from gradstudy.storage.studies import StudyRecord
from gradstudy.storage.workers import register_worker, stop_worker, touch_worker

Rows = Callable[[str], list[Any]]


def test_a_worker_is_seen_and_stops(db: Database, rows: Rows) -> None:
    first = register_worker(db.engine, "here", 1, "cpu")
    second = register_worker(db.engine, "there", 2, "cuda:0")
    assert first != second
    old = "2020-01-01 00:00:00.000000"
    with db.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE gradstudy_worker SET last_seen_at = '{old}'")
    touch_worker(db.engine, first)
    stop_worker(db.engine, second)
    query = f"SELECT worker_id, last_seen_at > '{old}', stopped_at IS NULL FROM gradstudy_worker"
    assert rows(query) == [(first, 1, 1), (second, 1, 0)]


def test_a_worker_number_is_not_used_again(db: Database, worker_id: int) -> None:
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM gradstudy_worker")
    assert register_worker(db.engine, "here", 1, "cpu") > worker_id


def test_only_dead_workers_whose_processes_can_be_seen_and_that_hold_trials_are_abandoned(
    db: Database, launched: StudyRecord
) -> None:
    dead, living, elsewhere, unknown, idle = (
        register_worker(db.engine, "one name for all", pid, "cpu", space)
        for space, pid in (("here", 1), ("here", 2), ("there", 1), (None, 1), ("here", 3))
    )
    for worker in (dead, living, elsewhere, unknown):
        claim_trial(db.engine, launched, worker, int)
    assert abandoned_workers(db.engine, "here", lambda pid: pid == 2) == [dead]
    assert idle not in abandoned_workers(db.engine, "here", lambda _: False)
    assert abandoned_workers(db.engine, None, lambda _: False) == []


def test_releasing_a_worker_gives_back_its_open_trials_only(
    db: Database, worker_id: int, run: Callable[..., Claim], begin: Callable[..., Claim],
    claim_next: Callable[[], Claim], rows: Rows,
) -> None:  # fmt: skip
    done, begun, asked_nothing = run("trained"), begin(), claim_next()
    assert release_worker(db.engine, worker_id) == Released(waiting=[begun.trial_id], failed=[])
    query = "SELECT id, worker_id FROM gradstudy_trial ORDER BY id"
    assert rows(query) == [(done.id, worker_id), (begun.id, None), (asked_nothing.id, None)]
    assert release_worker(db.engine, worker_id) == Released(waiting=[], failed=[])
