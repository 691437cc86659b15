"""What a worker does with the database and with Optuna: claiming, asking, storing, telling, giving back."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import optuna

from gradstudy.storage.beginning import Beginning, begin_trials
from gradstudy.storage.checkpoints import read_checkpoints, save_checkpoint, tell_steps
from gradstudy.storage.claiming import claim_trials, end_study, is_complete
from gradstudy.storage.claims import Claim, give_back, give_back_unknown, is_owned
from gradstudy.storage.recorder import Ending, Steps, record
from gradstudy.storage.results import TrialResult
from gradstudy.storage.studies import require_study
from gradstudy.storage.transactions import reading
from gradstudy.storage.workers import GRACE_SECONDS
from gradstudy.study.patience import Patience
from gradstudy.study.search.from_spec import make_sampler
from gradstudy.study.search.pruning import falls_behind, make_pruner
from gradstudy.study.search.space import Setting, from_row, to_row
from gradstudy.study.spec.seeds import trial_seed
from gradstudy.study.training.arrays import Ended
from gradstudy.study.training.summary import steps_to_keep
from gradstudy.study.worker.failures import FailureWatch
from gradstudy.study.worker.job import Job
from gradstudy.study.worker.optuna_ask import Place, ask
from gradstudy.study.worker.optuna_tell import attributes
from gradstudy.study.worker.recovery import recover, release_lost

T = TypeVar("T")

TRIALS_BETWEEN_CHECKS = 16
CHECKED_SHARE = 0.05
"""A worker checks after so many more trials, or this share of those that have ended if that is more."""


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
        self._wanted: deque[int] = deque()
        self._ready: deque[Ready | None] = deque()
        self._recovered = 0.0
        self._until_check = float(TRIALS_BETWEEN_CHECKS)
        self._study = optuna.load_study(
            study_name=job.record.name,
            storage=job.database.optuna_storage,
            sampler=make_sampler(job.spec, worker_id),
            pruner=make_pruner(job.spec),
        )

    def expect(self, trials: int) -> None:
        """Say that ``begin`` will be called so many times: the first call claims trials for all of them."""
        self._wanted.append(trials)

    def begin(self) -> Ready | None:
        """The next trial that was claimed, with its setting; None when there is none for this worker."""
        if not self._ready:
            self._ready.extend(self._begin(self._wanted.popleft()))
        return self._ready.popleft()

    def _begin(self, wanted: int) -> list[Ready | None]:
        """Claim trials and get their settings, and None for each that there is none for."""
        if time.monotonic() - self._recovered > GRACE_SECONDS:
            self.recover()
        claims = self._claim(wanted)
        self._held.update(claim.id for claim in claims)
        try:
            ready = self._prepare(claims)
        except BaseException:
            for claim in claims:
                self.give_back(claim)
            raise
        missing = wanted - len(ready)
        if len(ready) < len(claims):  # others took this worker for lost meanwhile
            self._held -= {claim.id for claim in claims} - {each.begun.claim.id for each in ready}
            return [*ready, *self._begin(missing)]
        return [*ready, *[None] * missing]

    def finish(self, ended: Sequence[Ended[Begun]]) -> list[TrialResult | None]:
        """Write results of trials with their steps, and tell Optuna; None for one that was lost meanwhile."""
        endings = [self._ending(each) for each in ended]
        claims = {each.claim.id for each in endings}
        self._held -= claims
        self._saved -= claims
        written = self._patiently(lambda: record(self._engine, endings))
        results = [each.result if is_there else None for each, is_there in zip(ended, written, strict=True)]
        if any(result is not None and result.error is not None for result in results):
            self._patiently(self._failures.check)  # those of other workers may have failed, too
        self._until_check -= sum(written)
        if self._job.spec.frontier_width is not None and self._until_check <= 0:
            self._patiently(self._end_when_known)
        return results

    def _ending(self, ended: Ended[Begun]) -> Ending:
        claim, telemetry = ended.key.claim, ended.trial.telemetry()
        spec, rates = self._job.spec, np.asarray(ended.trial.learning_rates())
        kept = steps_to_keep(spec.keep_steps, spec.steps, telemetry.loss, ended.result.diverged_at_step)
        steps = Steps(
            loss=telemetry.loss[kept],
            grad_norm=telemetry.grad_norm[kept],
            applied_norm=telemetry.applied_norm[kept],
            learning_rate=rates[kept] if rates.ndim else rates,
            number=kept,
        )
        return Ending(
            claim=claim,
            result=ended.result,
            steps=steps,
            attributes=attributes(ended.result),
            has_states=claim.attempt > 1 or claim.id in self._saved,
        )

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
        self._patiently(lambda: give_back(self._engine, claim))

    def give_back_ready(self) -> None:
        """Let others have the trials that were claimed and that nobody called for."""
        while self._ready:
            if (ready := self._ready.popleft()) is not None:
                self.give_back(ready.begun.claim)

    def recover(self) -> None:
        """Put right what lost workers left behind; at first, and after a loss, in all trials of the study."""
        lost = self._patiently(lambda: release_lost(self._job.database))
        if lost or not self._recovered:
            self._patiently(lambda: recover(self._job.database, self._job.record))
        self._recovered = time.monotonic()

    def is_complete(self) -> bool:
        """Whether every trial of the budget has ended."""
        spec = self._job.spec
        return self._patiently(lambda: is_complete(self._engine, self._job.record, spec.seeds, spec.trials))

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
        from gradstudy.storage.frames import read_trials  # pandas, which few studies need
        from gradstudy.study.search.stopping_rule import are_frontiers_known

        trials = read_trials(self._job.database, self._job.record.name)
        if are_frontiers_known(trials, self._job.spec):
            end_study(self._engine, self._job.record, self._job.spec.seeds, self._job.spec.trials)
        self._until_check = max(TRIALS_BETWEEN_CHECKS, CHECKED_SHARE * len(trials) / self._workers)

    def _claim(self, wanted: int) -> list[Claim]:
        answered = True

        def claim() -> list[Claim]:
            nonlocal answered
            if not answered:  # claims may have been made in the moment that the connection broke
                give_back_unknown(self._engine, self._job.record, self._worker_id, self._held)
            answered = False
            return claim_trials(
                self._engine,
                self._job.record,
                self._worker_id,
                self._seed,
                wanted=wanted,
                held=len(self._held),
                workers=self._workers,
                replicates=self._job.spec.seeds,
                places=self._job.spec.trials,
            )

        return self._patiently(claim)

    def _seed(self, ordinal: int) -> int:
        return trial_seed(self._job.spec.seed, ordinal)

    def _prepare(self, claims: Sequence[Claim]) -> list[Ready]:
        """Get the settings of new claims from Optuna; trials that were given back or enqueued keep those they have.

        Those that were lost meanwhile are left out.
        """
        new = [claim for claim in claims if claim.trial_id is None]
        begun = dict(zip([claim.id for claim in new], self._begin_new(new), strict=True)) if new else {}
        ready = [self._resumed(claim) if claim.trial_id is not None else begun[claim.id] for claim in claims]
        return [each for each in ready if each is not None]

    def _resumed(self, claim: Claim) -> Ready:
        assert claim.setting is not None, "a trial that had begun has its setting"
        states = self._patiently(lambda: read_checkpoints(self._engine, claim))
        return Ready(Begun(claim, from_row(claim.setting)), tuple(state for _, state in states))

    def _begin_new(self, claims: Sequence[Claim]) -> list[Ready | None]:
        seeds = self._job.spec.seeds
        known = [None if claim.setting is None else from_row(claim.setting) for claim in claims]
        places = [Place(claim.ordinal // seeds, one) for claim, one in zip(claims, known, strict=True)]
        asked = self._patiently(lambda: ask(self._study, self._job.spec, places))
        beginnings = [
            Beginning(claim, to_row(setting), trial, self._replicates(claim.ordinal))
            for claim, (setting, trial) in zip(claims, asked, strict=True)
        ]
        attached = self._patiently(lambda: begin_trials(self._engine, beginnings))
        return [
            None if claim is None else Ready(Begun(claim, setting))
            for claim, (setting, _) in zip(attached, asked, strict=True)
        ]

    def _replicates(self, ordinal: int) -> dict[int, int]:
        """The seeds, by ordinal, of the trials that get the setting of the one at this place of the budget."""
        seeds = self._job.spec.seeds
        others = range(ordinal + 1, ordinal + seeds) if ordinal % seeds == 0 else ()
        return {other: self._seed(other) for other in others}
