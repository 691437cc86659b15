"""Putting right what workers that died left behind."""

from gradstudy.storage.database import Database
from gradstudy.storage.lost_workers import abandoned_workers, release_worker
from gradstudy.storage.optuna_rows import set_states, tell_trials
from gradstudy.storage.out_of_sync import orphaned_trials, untold_results
from gradstudy.storage.studies import StudyRecord
from gradstudy.storage.transactions import writing
from gradstudy.study.worker.process_space import is_alive, process_space


def release_lost(database: Database) -> bool:
    """Give back the trials of lost workers; whether there was one, so that there may be trials to claim."""
    dead = abandoned_workers(database.engine, process_space(), is_alive)
    for worker in dead:
        release_worker(database.engine, worker)
    return bool(dead)


def recover(database: Database, record: StudyRecord) -> bool:
    """Give back the trials of lost workers, and bring Optuna's trials of a study up to date.

    Every trial of the study is looked at: what the workers of earlier versions left may be anywhere.

    Returns:
        Whether there was a lost worker, so that there may be trials to claim.
    """
    were_lost = release_lost(database)
    results = untold_results(database.engine, record, process_space(), is_alive)
    orphans = orphaned_trials(database.engine, record)
    if results or orphans:
        with writing(database.engine) as connection:
            tell_trials(connection, results)
            set_states(connection, orphans, "FAIL")
    return were_lost
