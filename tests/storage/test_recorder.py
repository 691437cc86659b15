from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine

from gradstudy.storage.claims import Claim, give_back
from gradstudy.storage.database import Database
from gradstudy.storage.errors import UnavailableError
from gradstudy.storage.outcomes import Outcome
from gradstudy.storage.recorder import Recorder
from gradstudy.storage.results import TrialResult
from gradstudy.storage.sqlite import connect_read_only

Begin = Callable[..., Claim]
Rows = Callable[[str], list[Any]]
STEPS = "SELECT * FROM gradstudy_step ORDER BY trial_id, step"
DONE = TrialResult(outcome=Outcome.TRAINED, steps=2)


def test_steps_come_back_and_what_is_not_finite_is_null(db: Database, begin: Begin, rows: Rows) -> None:
    claim = begin()
    recorder = Recorder(db.engine)
    recorder.add_steps(claim, 5, np.float32([0.5, np.nan, np.inf]), [1.0, -np.inf, 3.0], np.array([1, 2, 3]), 0.25)
    recorder.add_steps(claim, 8, [4.0], [5.0], np.nan, [0.125])
    assert rows(STEPS) == []
    assert recorder.flush() == []
    trial = claim.trial_id
    assert rows(STEPS) == [
        (trial, 5, 0.5, 1.0, 1.0, 0.25),
        (trial, 6, None, None, 2.0, 0.25),
        (trial, 7, None, 3.0, 3.0, 0.25),
        (trial, 8, 4.0, 5.0, None, 0.125),
    ]


def test_steps_are_written_once_and_counted(db: Database, begin: Begin, rows: Rows) -> None:
    recorder = Recorder(db.engine)
    claims = [begin(), begin()]
    for first in (0, 10):
        for claim in claims:
            recorder.add_steps(claim, first, np.ones(10), 1.0, 1.0, 1.0)
        recorder.flush()
    recorder.flush()
    assert rows("SELECT steps FROM gradstudy_trial") == [(20,), (20,)]


def test_a_result_comes_back_with_the_last_steps(db: Database, begin: Begin, rows: Rows) -> None:
    claim = begin()
    recorder = Recorder(db.engine)
    recorder.add_steps(claim, 0, [1.0, 2.0], 1.0, 1.0, 1.0)
    result = TrialResult(
        outcome=Outcome.DIVERGED, reason="blow_up", diverged_at_step=1, steps=2, initial_loss=3.5,
        final_loss=float("inf"), validation_loss=float("nan"), objective=3.5, spikes=4, seconds=0.5,
    )  # fmt: skip
    assert recorder.finish(claim, result)
    assert len(rows(STEPS)) == 2
    query = "SELECT outcome, reason, diverged_at_step, steps, initial_loss, final_loss, validation_loss, "
    query += "objective, spikes, seconds, worker_id, finished_at >= started_at FROM gradstudy_trial"
    assert rows(query) == [("diverged", "blow_up", 1, 2, 3.5, None, None, 3.5, 4, 0.5, claim.worker_id, 1)]


def test_a_trial_without_steps_or_optuna_trial_can_fail(db: Database, claim_next: Begin, rows: Rows) -> None:
    result = TrialResult(outcome=Outcome.FAILED, steps=0, error="Traceback …")
    assert Recorder(db.engine).finish(claim_next(), result)
    assert rows("SELECT outcome, error FROM gradstudy_trial") == [("failed", "Traceback …")]


def test_a_lost_trial_is_neither_finished_nor_written_to(db: Database, begin: Begin, rows: Rows) -> None:
    lost, kept = begin(), begin()
    recorder = Recorder(db.engine)
    give_back(db.engine, lost)
    begin()
    for claim in (lost, kept):
        recorder.add_steps(claim, 0, [1.0], 1.0, 1.0, 1.0)
    assert recorder.flush() == [lost]
    recorder.add_steps(lost, 1, [1.0], 1.0, 1.0, 1.0)
    assert not recorder.finish(lost, DONE)
    assert recorder.flush() == []
    assert [row[0] for row in rows(STEPS)] == [kept.trial_id]
    assert rows("SELECT outcome FROM gradstudy_trial") == [(None,), (None,)]


def test_a_trial_ends_once(db: Database, begin: Begin, rows: Rows) -> None:
    claim = begin()
    assert Recorder(db.engine).finish(claim, DONE)
    assert not Recorder(db.engine).finish(claim, TrialResult(outcome=Outcome.FAILED, steps=0))
    assert rows("SELECT outcome FROM gradstudy_trial") == [("trained",)]


def test_discarded_steps_are_not_written(db: Database, begin: Begin, rows: Rows) -> None:
    claim = begin()
    recorder = Recorder(db.engine)
    recorder.add_steps(claim, 0, [1.0], 1.0, 1.0, 1.0)
    recorder.discard(claim)
    recorder.flush()
    assert rows(STEPS) == []


def test_steps_outlive_a_database_that_does_not_answer(db: Database, begin: Begin) -> None:
    claim = begin()
    assert db.path is not None
    path = db.path
    refusing = create_engine("sqlite://", creator=lambda: connect_read_only(path))
    recorder = Recorder(refusing)
    recorder.add_steps(claim, 0, [1.0], 1.0, 1.0, 1.0)
    for _ in range(2):  # an empty recorder would not complain
        with pytest.raises(UnavailableError, match="attempt to write a readonly database"):
            recorder.flush()
    refusing.dispose()
