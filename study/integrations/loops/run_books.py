"""What a run that is recorded does with the database and with Optuna."""

import logging
import os
import socket
import threading
from collections.abc import Callable
from typing import TypeVar

from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from gradstudy.storage.beginning import Beginning, begin_trials
from gradstudy.storage.database import Database
from gradstudy.storage.errors import ClaimLostError
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.recorded_runs import begin_run, keep_steps
from gradstudy.storage.recorder import Ending, Steps, record
from gradstudy.storage.results import TrialResult
from gradstudy.storage.workers import RECORDER, register_worker, stop_worker, touch_worker
from gradstudy.study.launch import create_external
from gradstudy.study.patience import Patience
from gradstudy.study.search.space import threshold_parameter
from gradstudy.study.spec.plain import LARGEST, SMALLEST
from gradstudy.study.worker.optuna_tell import attributes
from gradstudy.study.worker.process_space import process_space
from gradstudy.study.worker.recovery import recover

T = TypeVar("T")
LOG = logging.getLogger("gradstudy")


class NoBooks:
    """The books of a run that is watched and not recorded."""

    number = -1

    def touch(self) -> None:
        """Say nothing."""

    def keep(self, steps: Steps) -> None:
        """Write nothing."""

    def end(self, result: TrialResult, steps: Steps) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Have nothing open."""


class RunBooks:
    """The row of one run, from its begin to its result, in a database that is open as long.

    Attributes:
        number: of the trial.
    """

    def __init__(self, url: str, study: str, setting: SettingRow, seed: int) -> None:
        """Begin a run of a study; database and study are made where there are none.

        Raises:
            StorageError: one of its kinds: the database cannot be used.
            ExternalStudyError: the study is one that was launched to be trained here.
        """
        self._patience = Patience(threading.Event(), LOG.warning)
        self._database = Database.open(url, create=True)
        try:
            engine = self._database.engine
            study_record = create_external(self._database, study)
            recover(self._database, study_record)
            self._worker = register_worker(engine, socket.gethostname(), os.getpid(), RECORDER, process_space())
            claim = begin_run(engine, study_record, self._worker, setting, seed)
            (begun,) = begin_trials(engine, [Beginning(claim, setting, _template(setting))])
            if begun is None:
                raise ClaimLostError(f"run {claim.ordinal} is not in the database any more")
            self._claim = begun
            assert begun.trial_id is not None
            self.number = self._database.optuna_storage.get_trial(begun.trial_id).number
        except BaseException:
            self._database.close()
            raise

    def touch(self) -> None:
        """Say that the run is alive; raises what a database raises that does not answer."""
        touch_worker(self._database.engine, self._worker)

    def keep(self, steps: Steps) -> None:
        """Write steps; raises ClaimLostError where the run is not there any more, as ``touch`` otherwise."""
        keep_steps(self._database.engine, self._claim, steps)

    def end(self, result: TrialResult, steps: Steps) -> None:
        """Write how the run ended, with its last steps; a database that does not answer is waited for.

        Raises:
            ClaimLostError: the run is not there any more.
        """
        engine = self._database.engine
        ending = Ending(claim=self._claim, result=result, attributes=attributes(result), has_states=False)
        self._patiently(lambda: self.keep(steps))
        self._patiently(lambda: record(engine, [ending]))
        self._patiently(lambda: stop_worker(engine, self._worker))

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _patiently(self, do: Callable[[], T]) -> T:
        return self._patience(do)


def _template(setting: SettingRow) -> FrozenTrial:
    """Optuna's trial: its numbers are parameters, what has no order is an attribute, as new values may come."""
    of_threshold = {threshold_parameter(setting.strategy): setting.threshold}
    given = {"learning_rate": setting.learning_rate, **of_threshold}
    numbers = {name: value for name, value in given.items() if value is not None}
    return create_trial(
        state=TrialState.RUNNING,
        params=numbers,
        distributions={name: FloatDistribution(SMALLEST, LARGEST, log=True) for name in numbers},
        user_attrs={"cell": setting.cell, "strategy": setting.strategy, "factors": setting.factors},
    )
