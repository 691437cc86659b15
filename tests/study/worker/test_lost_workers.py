"""Workers that vanish, and workers that come back after they were given up."""

import os
import threading
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from one_trial import begin_trial, claim_trial, record_trial
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from gradstudy.storage.claims import Claim, give_back_unknown
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.lost_workers import SAME_STEP, abandoned_workers
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.recorder import OptunaAttributes, Steps
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.storage.studies import find_study
from gradstudy.storage.workers import living_workers, register_worker, stop_worker, touch_worker
from gradstudy.study.launch import create_or_resume
from gradstudy.study.search.points import RandomSampler
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.worker import bookkeeping
from gradstudy.study.worker.job import Job
from gradstudy.study.worker.recovery import recover

SETTING = SettingRow(cell="lstm", strategy="norm", threshold=1.0, learning_rate=0.5, factors={})
TRAINED = OptunaAttributes({"outcome": "trained"}, {})
LONG_AGO = "UPDATE gradstudy_worker SET last_seen_at = '2001-01-01 00:00:00.000000'"
Execute = Callable[..., list[Any]]
Begin = Callable[[str | None], Claim]


@pytest.fixture
def begin(db: Database, spec: StudySpec) -> Begin:
    """A worker of a place claims a trial, asks Optuna and attaches it."""

    def begin_in(space: str | None) -> Claim:
        study = create_or_resume(db, spec)
        worker = register_worker(db.engine, "one name for all", os.getpid(), "cpu", space)
        claim = claim_trial(db.engine, study, worker, int)
        assert claim is not None
        if claim.trial_id is not None:
            return claim
        return begin_trial(db.engine, claim, SETTING)

    return begin_in


def recover_study(db: Database) -> bool:
    return recover(db, find_study(db, "s"))


def counts(db: Database) -> tuple[int, int, int]:
    found = count_outcomes(db.engine, find_study(db, "s"))
    return found["running"], found["remaining"], found["failed"]


def test_a_worker_that_was_not_seen_for_long_is_lost_wherever_it_is(
    db: Database, begin: Begin, execute: Execute, states: Any
) -> None:
    begin("elsewhere")
    assert not recover_study(db)
    execute(db, LONG_AGO)
    assert recover_study(db)
    assert counts(db) == (0, 12, 0)
    assert states(db) == ["WAITING"]


def test_a_sign_of_life_keeps_a_worker(db: Database, begin: Begin, execute: Execute) -> None:
    claim = begin("elsewhere")
    execute(db, LONG_AGO)
    touch_worker(db.engine, claim.worker_id)
    assert not recover_study(db)
    assert counts(db) == (1, 11, 0)


def test_a_living_process_of_this_host_that_was_not_seen_for_long_is_lost_too(
    db: Database, begin: Begin, execute: Execute
) -> None:
    begin("here")
    assert abandoned_workers(db.engine, "here", lambda pid: True) == []
    execute(db, LONG_AGO)
    assert len(abandoned_workers(db.engine, "here", lambda pid: True)) == 1


def test_a_lost_trial_is_tried_again_with_its_setting_and_seed_and_fails_in_the_end(
    db: Database, begin: Begin, execute: Execute, states: Any
) -> None:
    claims = []
    for _ in range(SAME_STEP):
        claims.append(begin("elsewhere"))
        execute(db, LONG_AGO)
        recover_study(db)
    assert [claim.attempt for claim in claims] == list(range(1, SAME_STEP + 1))
    assert len({(claim.id, claim.trial_id, claim.seed, str(claim.setting)) for claim in claims}) == 1
    assert counts(db) == (0, 11, 1)
    assert states(db) == ["FAIL"]
    (row,) = read_trials(db, "s").to_dict("records")
    assert (row["outcome"], row["reason"]) == ("failed", "worker_lost")


def one_step(loss: float) -> Steps:
    return Steps(loss=[loss], grad_norm=1.0, applied_norm=1.0, learning_rate=0.5)


def test_a_worker_that_comes_back_too_late_changes_nothing(
    db: Database, begin: Begin, execute: Execute, states: Any
) -> None:
    late = begin("elsewhere")
    execute(db, LONG_AGO)
    recover_study(db)
    second = begin("here")
    assert second.trial_id == late.trial_id
    diverged, trained = (TrialResult(outcome=outcome, steps=1) for outcome in (Outcome.DIVERGED, Outcome.TRAINED))
    assert not record_trial(db.engine, late, diverged, one_step(9.0), OptunaAttributes({}, {}))
    assert record_trial(db.engine, second, trained, one_step(3.0), TRAINED)
    assert execute(db, "SELECT step, loss FROM gradstudy_step") == [(0, 3.0)]
    assert execute(db, "SELECT value_json FROM trial_user_attributes") == [('"trained"',)]


def test_storing_a_result_twice_is_storing_it_once(db: Database, begin: Begin, execute: Execute) -> None:
    claim = begin("here")
    for _ in range(2):  # the first answer was lost on its way
        assert record_trial(db.engine, claim, TrialResult(outcome=Outcome.TRAINED, steps=1), one_step(3.0), TRAINED)
    assert execute(db, "SELECT COUNT(*) FROM gradstudy_step") == [(1,)]
    assert execute(db, "SELECT COUNT(*) FROM trial_user_attributes") == [(1,)]


def test_a_claim_that_its_worker_was_never_told_of_is_given_back(db: Database, begin: Begin) -> None:
    known = begin("here")
    forgotten = claim_trial(db.engine, find_study(db, "s"), known.worker_id, int)
    assert forgotten is not None
    give_back_unknown(db.engine, find_study(db, "s"), known.worker_id, [known.id])
    assert counts(db) == (1, 11, 0)


def test_no_worker_holds_more_than_its_share_of_what_is_left(db: Database, spec: StudySpec, begin: Begin) -> None:
    study = create_or_resume(db, spec)
    workers = [register_worker(db.engine, "here", os.getpid(), "cpu") for _ in range(3)]
    held = 0
    while claim_trial(db.engine, study, workers[0], int, held=held):
        held += 1
    assert held == 4  # of 12 trials for 3 workers
    stop_worker(db.engine, workers[2])
    assert claim_trial(db.engine, study, workers[0], int, held=4)
    assert claim_trial(db.engine, study, workers[1], int, held=5, workers=2)
    assert claim_trial(db.engine, study, workers[1], int, held=4, workers=3) is None


def test_the_living_are_counted_by_host_and_device(db: Database, execute: Execute) -> None:
    lost = register_worker(db.engine, "far", 1, "cpu")
    execute(db, LONG_AGO)
    for host, device in [("near", "cpu"), ("near", "cpu"), ("near", "cuda"), ("far", "cpu")]:
        register_worker(db.engine, host, 1, device)
    stop_worker(db.engine, register_worker(db.engine, "near", 1, "cpu"))
    assert living_workers(db.engine) == {("far", "cpu"): 1, ("near", "cpu"): 2, ("near", "cuda"): 1}
    touch_worker(db.engine, lost)
    assert living_workers(db.engine)["far", "cpu"] == 2


class TakenForLost(RandomSampler):
    """While it is asked the first time, the others give its worker up."""

    def __init__(self, give_up: Callable[[], None]) -> None:
        super().__init__(seed=0)
        self._give_up = [give_up]

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if self._give_up:
            self._give_up.pop()()
        return super().sample_independent(study, trial, param_name, param_distribution)


def test_a_worker_that_is_taken_for_lost_while_it_asks_goes_on_with_another_trial(
    db: Database, spec: StudySpec, execute: Execute, states: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up() -> None:
        execute(db, LONG_AGO)
        recover_study(db)
        touch_worker(db.engine, worker)

    monkeypatch.setattr(bookkeeping, "make_sampler", lambda *_: TakenForLost(give_up))
    record = create_or_resume(db, spec)
    worker = register_worker(db.engine, "elsewhere", os.getpid(), "cpu")
    books = bookkeeping.Bookkeeping(
        Job.of(db, record), worker, workers=1, stop=threading.Event(), announce=lambda message: pytest.fail(message)
    )
    books.expect(1)
    ready = books.begin()
    assert ready is not None
    assert ready.begun.claim.ordinal == 0
    assert states(db)[-1] == "RUNNING"
    assert counts(db) == (1, 11, 0)
