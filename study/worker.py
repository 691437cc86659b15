"""The worker: claims trials, trains them in its slots, writes their results, tells Optuna."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import optuna
from optuna.trial import TrialState

from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.storage.claims import Claim, SettingRow, attach_trial, claim_trial, give_back
from gradstudy.storage.database import Database
from gradstudy.storage.recorder import Recorder
from gradstudy.storage.results import TrialResult
from gradstudy.storage.studies import StudyRecord
from gradstudy.storage.workers import register_worker, stop_worker, touch_worker
from gradstudy.study.recovery import recover, set_state
from gradstudy.study.samplers import make_sampler
from gradstudy.study.space import Setting, suggest
from gradstudy.study.spec import StudySpec
from gradstudy.study.telling import tell
from gradstudy.study.training import Ended, Slots, make_array

SECONDS_BETWEEN_SIGNS_OF_LIFE = 5.0


class Listener(Protocol):
    """What a worker tells those who watch it."""

    def started(self, number: int) -> None:
        """A trial has begun."""

    def finished(self, number: int, result: TrialResult) -> None:
        """A trial has ended and is stored."""


@dataclass(frozen=True)
class _Claimed:
    """What the database and Optuna know a running trial by."""

    claim: Claim
    trial: optuna.Trial


class Worker:
    """Runs trials of one study until its budget is used up or it is told to stop."""

    def __init__(
        self,
        database: Database,
        record: StudyRecord,
        spec: StudySpec,
        data: TokenPairs,
        *,
        slots: int,
        device: str = "cpu",
        listener: Listener,
    ) -> None:
        """Register a worker of a study.

        Args:
            database: that holds the study.
            record: of the study.
            spec: of the study.
            data: of its task.
            slots: trials at once, over all cells.
            device: where to train.
            listener: who is told of trials that begin and end.
        """
        self._database = database
        self._record = record
        self._spec = spec
        self._data = data
        self._slots = slots
        self._device = device
        self._listener = listener
        self._arrays: dict[str, Slots[_Claimed]] = {}
        self._recorder = Recorder(database.engine)
        self._noted_alive = time.monotonic()
        self._worker_id = register_worker(database.engine, socket.gethostname(), os.getpid(), device)
        self._study = optuna.load_study(
            study_name=record.name, storage=database.optuna_storage, sampler=make_sampler(spec, self._worker_id)
        )

    def run(self, stop: threading.Event) -> None:
        """Work until no trial is left to claim, or until ``stop`` is set; then give back what is running."""
        try:
            recover(self._database, self._record)
            while not stop.is_set():
                self._fill(stop)
                busy = [slots for slots in self._arrays.values() if slots.keys]
                if not busy and not recover(self._database, self._record):
                    break
                for slots in busy:
                    for ended in slots.advance():
                        self._store(ended)
                self._note_alive()
        finally:
            self._give_back_all()
            stop_worker(self._database.engine, self._worker_id)

    def _note_alive(self) -> None:
        """Tell the database that this worker lives, but not at every block: each time is a transaction."""
        if time.monotonic() - self._noted_alive >= SECONDS_BETWEEN_SIGNS_OF_LIFE:
            touch_worker(self._database.engine, self._worker_id)
            self._noted_alive = time.monotonic()

    def _fill(self, stop: threading.Event) -> None:
        """Claim trials until all slots are taken, none is left or ``stop`` is set."""
        while not stop.is_set() and sum(len(slots.keys) for slots in self._arrays.values()) < self._slots:
            claim = claim_trial(self._database.engine, self._record.study_id, self._worker_id, self._seed)
            if claim is None:
                return
            with self._given_back_on_error(claim):
                claimed, setting = self._begin(claim)
            with self._given_back_on_error(claimed.claim):
                self._slots_of(setting.cell).admit(claimed, setting, claim.seed)
            self._listener.started(claimed.trial.number)

    def _slots_of(self, cell: str) -> Slots[_Claimed]:
        if cell not in self._arrays:
            array = make_array(self._spec, cell, self._data, self._slots, self._device)
            self._arrays[cell] = Slots(array, self._spec)
        return self._arrays[cell]

    def _seed(self, ordinal: int) -> int:
        """The seed of a trial: a function of the study's seed and the trial's place in the budget."""
        return int(np.random.SeedSequence([self._spec.seed, ordinal]).generate_state(1)[0])

    def _begin(self, claim: Claim) -> tuple[_Claimed, Setting]:
        """Get a new claim's setting from Optuna; a trial that was given back keeps the one it has."""
        if claim.trial_id is not None and claim.setting is not None:
            set_state(self._database.optuna_storage, claim.trial_id, TrialState.RUNNING)
            return _Claimed(claim, optuna.Trial(self._study, claim.trial_id)), stored_setting(claim.setting)
        trial = self._ask()
        try:
            setting = suggest(trial, self._spec)
            claim = attach_trial(self._database.engine, claim, trial._trial_id, setting_row(setting))
        except BaseException:
            set_state(self._database.optuna_storage, trial._trial_id, TrialState.FAIL)
            raise
        return _Claimed(claim, trial), setting

    def _ask(self) -> optuna.Trial:
        """A new trial of Optuna's.

        ``Study.ask`` might answer with one that was given back, which another worker may have claimed already.
        """
        # The sampler looks at the trials that its study has in memory; a copy has none and fetches them.
        study = copy(self._study)
        return optuna.Trial(study, study._storage.create_new_trial(self._record.study_id))

    def _store(self, ended: Ended[_Claimed]) -> None:
        """Write a trial's result with its steps, and tell Optuna unless the trial was lost meanwhile."""
        claim, trial = ended.key.claim, ended.key.trial
        telemetry = ended.trial.telemetry()
        self._recorder.add_steps(
            claim,
            0,
            telemetry.loss,
            telemetry.grad_norm,
            telemetry.applied_norm,
            ended.trial.run.learning_rate,
        )
        if not self._recorder.finish(claim, ended.result):
            return
        tell(self._study, trial, ended.result)
        self._listener.finished(trial.number, ended.result)

    def _give_back_all(self) -> None:
        for slots in self._arrays.values():
            for claimed in slots.keys:
                self._give_back(claimed.claim)
            slots.keys.clear()

    def _give_back(self, claim: Claim) -> None:
        if give_back(self._database.engine, claim) and claim.trial_id is not None:
            set_state(self._database.optuna_storage, claim.trial_id, TrialState.WAITING)

    @contextmanager
    def _given_back_on_error(self, claim: Claim) -> Iterator[None]:
        """Let another worker have a trial that could not begin here."""
        try:
            yield
        except BaseException:
            self._give_back(claim)
            raise


def setting_row(setting: Setting) -> SettingRow:
    """A setting as it is stored."""
    return SettingRow(
        cell=setting.cell,
        strategy=setting.strategy,
        threshold=setting.threshold,
        learning_rate=setting.learning_rate,
        factors={},
    )


def stored_setting(row: SettingRow) -> Setting:
    """A setting as it was stored."""
    return Setting(
        cell="lstm" if row.cell == "lstm" else "gru",
        strategy=row.strategy,
        threshold=row.threshold,
        learning_rate=row.learning_rate,
    )
