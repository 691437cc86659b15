"""Putting right what workers that died left behind."""

from contextlib import suppress

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from gradstudy.storage.database import Database
from gradstudy.storage.lost_workers import abandoned_workers, release_worker
from gradstudy.storage.out_of_sync import orphaned_trials, untold_results
from gradstudy.storage.studies import StudyRecord
from gradstudy.study.worker.optuna_tell import tell
from gradstudy.study.worker.process_space import is_alive, process_space


def recover(database: Database, record: StudyRecord) -> bool:
    """Give back the trials of lost workers, and bring Optuna's trials of a study up to date.

    Returns:
        Whether there was a lost worker, so that there may be trials to claim.
    """
    engine, storage = database.engine, database.optuna_storage
    dead = abandoned_workers(engine, process_space(), is_alive)
    for worker in dead:
        released = release_worker(engine, worker)
        for trial_id in released.waiting:
            set_state(storage, trial_id, TrialState.WAITING)
        for trial_id in released.failed:
            set_state(storage, trial_id, TrialState.FAIL)
    _tell_untold(database, record)
    for trial_id in orphaned_trials(engine, record):
        set_state(storage, trial_id, TrialState.FAIL)
    return bool(dead)


def set_state(storage: BaseStorage, trial_id: int, state: TrialState) -> None:
    """Set a trial's state in Optuna, unless it has ended there."""
    with suppress(UpdateFinishedTrialError):
        storage.set_trial_state_values(trial_id, state)


def _tell_untold(database: Database, record: StudyRecord) -> None:
    """Tell Optuna the results that a worker wrote and could not tell any more."""
    results = untold_results(database.engine, record, process_space(), is_alive)
    for trial_id, result in results.items():
        tell(database.optuna_storage, trial_id, result)
