"""What a worker does with the database and with Optuna: claiming, asking, storing, telling, giving back."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from gradstudy.storage.checkpoints import read_checkpoints, save_checkpoint, tell_steps
from gradstudy.storage.claims import (
    Claim,
    attach_trial,
    claim_trial,
    end_study,
    give_back,
    give_back_unknown,
    is_owned,
)
from gradstudy.storage.errors import ClaimLostError
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import REMAINING, RUNNING, count_outcomes
from gradstudy.storage.recorder import Steps, record
from gradstudy.storage.results import TrialResult
from gradstudy.storage.studies import require_study
from gradstudy.storage.transactions import reading
from gradstudy.storage.workers import GRACE_SECONDS
from gradstudy.study.patience import UNANSWERED, Patience
from gradstudy.study.search.from_spec import make_sampler
from gradstudy.study.search.pruning import falls_behind, make_pruner
from gradstudy.study.search.space import Setting, from_row, to_row
from gradstudy.study.search.stopping_rule import CHECKED_SHARE, TRIALS_BETWEEN_CHECKS, are_frontiers_known
from gradstudy.study.spec.seeds import trial_seed
from gradstudy.study.training.arrays import Ended
from gradstudy.study.worker.failures import FailureWatch
from gradstudy.study.worker.job import Job
from gradstudy.study.worker.optuna_ask import ask
from gradstudy.study.worker.optuna_tell import attributes, tell
from gradstudy.study.worker.recovery import recover, set_state

T = TypeVar("T")


@dataclass(frozen=True)
class Begun:
    """A trial that the worker has claimed, with its setting."""

    claim: Claim
    setting: Setting


@dataclass(frozen=True)
class Ready:
    """A trial that can be trained: from its last states where it goes on, which nobody needs once it is."""

    begun: Begun
    states: tuple[bytes, ...] = ()


class Bookkeeping:
    """The bookkeeping of one worker of one study. Its methods are called from one thread.

    A database that does not answer is waited for. Where the study was deleted, they raise StudyDeletedError.
    """

    def __init__(
        self,
        job: Job,
        worker_id: int,
        *,
        workers: int,
        stop: threading.Event,
        announce: Callable[[str], None],
    ) -> None:
        """Open the books.

        Args:
            job: the study.
            worker_id: whose books they are.
            workers: how many workers the study has at least.
            stop: what ends the waiting for a database.
            announce: who is told of the waiting.
        """
        self._job = job
        self._engine = job.database.engine
        self._worker_id = worker_id
        self._workers = workers
        self._patience = Patience(stop, announce)
        self._failures = FailureWatch(job.database, job.record)
        self._held: set[int] = set()
        self._saved: set[int] = set()
        self._recovered = 0.0
        self._until_check = float(TRIALS_BETWEEN_CHECKS)
        self._study = optuna.load_study(
            study_name=job.record.name,
            storage=job.database.optuna_storage,
            sampler=make_sampler(job.spec, worker_id),
            pruner=make_pruner(job.spec),
        )

    def begin(self) -> Ready | None:
        """Claim a trial and get its setting; None when there is none for this worker."""
        if time.monotonic() - self._recovered > GRACE_SECONDS:
            self.recover()
        claim = self._claim()
        if claim is None:
            return None
        self._held.add(claim.id)
        try:
            return self._prepare(claim)
        except (ClaimLostError, UpdateFinishedTrialError):  # others took this worker for lost meanwhile
            self._held.discard(claim.id)
            return self.begin()
        except BaseException:
            self.give_back(claim)
            raise

    def finish(self, ended: Ended[Begun]) -> TrialResult | None:
        """Write a trial's result with its steps, and tell Optuna; None when the trial was lost meanwhile."""
        claim, telemetry = ended.key.claim, ended.trial.telemetry()
        trial_id = claim.trial_id
        assert trial_id is not None, "a trial that has ended was attached"
        self._held.discard(claim.id)
        has_states = claim.attempt > 1 or claim.id in self._saved
        self._saved.discard(claim.id)
        steps = Steps(
            loss=telemetry.loss,
            grad_norm=telemetry.grad_norm,
            applied_norm=telemetry.applied_norm,
            learning_rate=ended.trial.learning_rates(),
        )
        write = partial(record, self._engine, claim, ended.result, steps, attributes(ended.result))
        if not self._patiently(partial(write, has_states=has_states)):
            return None
        self._patiently(lambda: tell(self._job.database.optuna_storage, trial_id, ended.result))
        if ended.result.error is not None:  # those of other workers may have failed, too
            self._patiently(self._failures.check)
        self._until_check -= 1
        if self._job.spec.frontier_width is not None and self._until_check <= 0:
            self._patiently(self._end_when_known)
        return ended.result

    def falls_behind(self, key: Begun, step: int, smoothed_loss: float) -> bool:
        """Whether a trial should be pruned for its loss at a rung."""
        claim, trial_id = key.claim, key.claim.trial_id
        assert trial_id is not None, "a trial that trains was attached"
        if not self._patiently(lambda: is_owned(self._engine, claim)):
            return True  # nobody waits for its result
        return self._patiently(lambda: falls_behind(self._study, trial_id, step, smoothed_loss))

    def save(self, claim: Claim, step: int, state: bytes) -> bool:
        """Keep a trial's state; False when it is too large, or the trial was lost meanwhile."""
        self._saved.add(claim.id)
        return self._patiently(lambda: save_checkpoint(self._engine, claim, step, state))

    def tell_steps(self, steps: list[tuple[Claim, int]]) -> None:
        """Write down how far trials are."""
        self._patiently(lambda: tell_steps(self._engine, steps))

    def give_back(self, claim: Claim) -> None:
        """Let another worker have a trial."""
        self._held.discard(claim.id)
        self._saved.discard(claim.id)
        if self._patiently(lambda: give_back(self._engine, claim)) and claim.trial_id is not None:
            self._set_state(claim.trial_id, TrialState.WAITING)

    def recover(self) -> None:
        """Put right what lost workers left behind."""
        self._patiently(lambda: recover(self._job.database, self._job.record))
        self._recovered = time.monotonic()

    def is_complete(self) -> bool:
        """Whether every trial of the budget has ended."""
        counts = self._patiently(lambda: count_outcomes(self._engine, self._job.record))
        return counts[REMAINING] + counts[RUNNING] == 0

    def _patiently(self, do: Callable[[], T]) -> T:
        """The result of ``do``, see ``Patience``.

        Raises:
            StudyDeletedError: what it needs is not there, because the study was deleted.
        """
        try:
            return self._patience(do)
        except KeyError:  # Optuna's, of a study or trial that is not there
            with reading(self._engine) as connection:
                require_study(connection, self._job.record)
            raise

    def _end_when_known(self) -> None:
        """End the study when its frontiers are known as well as was wanted."""
        trials = read_trials(self._job.database, self._job.record.name)
        if are_frontiers_known(trials, self._job.spec):
            end_study(self._engine, self._job.record, self._job.spec.seeds, self._job.spec.trials)
        self._until_check = max(TRIALS_BETWEEN_CHECKS, CHECKED_SHARE * len(trials) / self._workers)

    def _claim(self) -> Claim | None:
        answered = True

        def claim() -> Claim | None:
            nonlocal answered
            if not answered:  # the claim may have been made in the moment that the connection broke
                give_back_unknown(self._engine, self._job.record, self._worker_id, self._held)
            answered = False
            return claim_trial(
                self._engine,
                self._job.record,
                self._worker_id,
                self._seed,
                held=len(self._held),
                workers=self._workers,
                replicates=self._job.spec.seeds,
                places=self._job.spec.trials,
            )

        return self._patiently(claim)

    def _seed(self, ordinal: int) -> int:
        return trial_seed(self._job.spec.seed, ordinal)

    def _prepare(self, claim: Claim) -> Ready:
        """Get a new claim's setting from Optuna; a trial that was given back or enqueued keeps the one it has."""
        if claim.trial_id is not None and claim.setting is not None:
            self._set_state(claim.trial_id, TrialState.RUNNING)
            states = self._patiently(lambda: read_checkpoints(self._engine, claim))
            return Ready(Begun(claim, from_row(claim.setting)), tuple(state for _, state in states))
        known = None if claim.setting is None else from_row(claim.setting)
        place = claim.ordinal // self._job.spec.seeds
        setting, trial_id = self._patiently(lambda: ask(self._study, self._job.spec, place, known))
        try:
            row, replicates = to_row(setting), self._replicates(claim.ordinal)
            attach = partial(attach_trial, self._engine, claim, trial_id, row, replicates)
            return Ready(Begun(self._patiently(attach), setting))
        except BaseException as error:
            if not isinstance(error, UNANSWERED):
                self._set_state(trial_id, TrialState.FAIL)
            raise

    def _replicates(self, ordinal: int) -> dict[int, int]:
        """The seeds, by ordinal, of the trials that get the setting of the one at this place of the budget."""
        seeds = self._job.spec.seeds
        others = range(ordinal + 1, ordinal + seeds) if ordinal % seeds == 0 else ()
        return {other: self._seed(other) for other in others}

    def _set_state(self, trial_id: int, state: TrialState) -> None:
        self._patiently(lambda: set_state(self._job.database.optuna_storage, trial_id, state))
