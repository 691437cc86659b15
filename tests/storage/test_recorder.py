from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from one_trial import record_trial
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from gradstudy.storage.claims import Claim, give_back
from gradstudy.storage.database import Database
from gradstudy.storage.errors import UnavailableError
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import errors_of_last, last_finished
from gradstudy.storage.recorder import OptunaAttributes, Steps
from gradstudy.storage.results import Outcome, TrialResult

Begin = Callable[..., Claim]
Rows = Callable[[str], list[Any]]
STEPS = "SELECT * FROM gradstudy_step ORDER BY trial_id, step"
DONE = TrialResult(outcome=Outcome.TRAINED, steps=2)


def ones(n: int) -> Steps:
    return Steps(loss=np.ones(n), grad_norm=1.0, applied_norm=1.0, learning_rate=1.0)


def test_steps_come_back_and_what_is_not_finite_is_null(db: Database, begin: Begin, rows: Rows) -> None:
    claim = begin()
    steps = Steps(
        loss=np.float32([0.5, np.nan, np.inf]),
        grad_norm=[1.0, -np.inf, 3.0],
        applied_norm=np.array([1, 2, 3]),
        learning_rate=0.25,
    )
    assert record_trial(db.engine, claim, DONE, steps)
    trial = claim.trial_id
    assert rows(STEPS) == [
        (trial, 0, 0.5, 1.0, 1.0, 0.25),
        (trial, 1, None, None, 2.0, 0.25),
        (trial, 2, None, 3.0, 3.0, 0.25),
    ]


def test_one_number_for_all_steps_that_is_not_finite_is_null(db: Database, begin: Begin, rows: Rows) -> None:
    assert record_trial(
        db.engine, begin(), DONE, Steps(loss=[4.0], grad_norm=[5.0], applied_norm=np.nan, learning_rate=[1.0])
    )
    assert [row[1:] for row in rows(STEPS)] == [(0, 4.0, 5.0, None, 1.0)]


def test_steps_of_several_trials_are_kept_apart(db: Database, begin: Begin, rows: Rows) -> None:
    claims = [begin(), begin()]
    for claim in reversed(claims):
        assert record_trial(db.engine, claim, DONE, ones(20))
    assert [row[:2] for row in rows(STEPS)] == [(claim.trial_id, step) for claim in claims for step in range(20)]


def test_attributes_are_optunas(db: Database, begin: Begin) -> None:
    claim = begin()
    assert claim.trial_id is not None
    user = {"outcome": "trained", "seconds": 0.5, "größe": [1, None]}
    assert record_trial(db.engine, claim, DONE, attributes=OptunaAttributes(user, {"constraints:c": -0.5}))
    trial = db.optuna_storage.get_trial(claim.trial_id)
    assert (trial.user_attrs, trial.constraints) == (user, {"c": -0.5})


def test_a_result_comes_back_with_the_last_steps(db: Database, begin: Begin, rows: Rows) -> None:
    claim = begin()
    result = TrialResult(
        outcome=Outcome.DIVERGED, reason="blow_up", diverged_at_step=1, steps=2, initial_loss=3.5,
        final_loss=float("inf"), validation_loss=float("nan"), objective=3.5, spikes=4, seconds=0.5,
    )  # fmt: skip
    assert record_trial(db.engine, claim, result, ones(2))
    assert len(rows(STEPS)) == 2
    query = "SELECT outcome, reason, diverged_at_step, steps, initial_loss, final_loss, validation_loss, "
    query += "objective, spikes, seconds, worker_id, finished_at >= started_at FROM gradstudy_trial"
    assert rows(query) == [("diverged", "blow_up", 1, 2, 3.5, None, None, 3.5, 4, 0.5, claim.worker_id, 1)]


def test_a_trial_without_steps_or_optuna_trial_can_fail(db: Database, claim_next: Begin, rows: Rows) -> None:
    result = TrialResult(outcome=Outcome.FAILED, steps=0, error="Traceback …")
    assert record_trial(db.engine, claim_next(), result)
    assert rows("SELECT outcome, error FROM gradstudy_trial") == [("failed", "Traceback …")]


def test_a_lost_trial_is_neither_finished_nor_written_to(db: Database, begin: Begin, rows: Rows) -> None:
    lost, kept = begin(), begin()
    give_back(db.engine, lost)
    begin()
    assert not record_trial(db.engine, lost, DONE, ones(1), OptunaAttributes({"outcome": "trained"}, {}))
    assert record_trial(db.engine, kept, DONE, ones(1))
    assert [row[0] for row in rows(STEPS)] == [kept.trial_id]
    assert rows("SELECT outcome FROM gradstudy_trial ORDER BY ordinal") == [(None,), ("trained",)]
    assert rows("SELECT * FROM trial_user_attributes") == []


def test_a_trial_ends_once(db: Database, begin: Begin, rows: Rows) -> None:
    claim = begin()
    assert record_trial(db.engine, claim, DONE, ones(1))
    assert record_trial(
        db.engine, claim, TrialResult(outcome=Outcome.FAILED, steps=0), ones(1)
    )  # a repetition finds it done
    assert rows("SELECT outcome FROM gradstudy_trial") == [("trained",)]
    assert len(rows(STEPS)) == 1


def test_a_result_is_written_when_the_database_answers_again(db: Database, begin: Begin, rows: Rows) -> None:
    claim = begin()
    with refusing_to_write(db), pytest.raises(UnavailableError, match="out of order"):
        record_trial(db.engine, claim, DONE, ones(1))
    assert rows(STEPS) == []
    assert record_trial(db.engine, claim, DONE, ones(1))
    assert len(rows(STEPS)) == 1


@contextmanager
def refusing_to_write(db: Database) -> Iterator[None]:
    """Let the database fail where a transaction is committed."""

    def refuse(connection: Connection) -> None:
        raise OperationalError("COMMIT", {}, OSError("out of order"))

    event.listen(db.engine, "commit", refuse)
    yield
    event.remove(db.engine, "commit", refuse)


def test_the_errors_of_the_trials_that_ended_last(db: Database, begin: Begin, rows: Rows) -> None:
    claims = [begin() for _ in range(4)]
    study_id = rows("SELECT study_id FROM gradstudy_trial")[0][0]
    assert last_finished(db.engine, study_id) is None
    for claim, error in zip(claims[:3], ("first", None, "third"), strict=True):
        outcome = Outcome.FAILED if error else Outcome.TRAINED
        assert record_trial(db.engine, claim, TrialResult(outcome=outcome, steps=0, error=error))
    assert errors_of_last(db.engine, study_id, 2, None) == ["third", None]
    assert errors_of_last(db.engine, study_id, 9, None) == ["third", None, "first"]
    assert errors_of_last(db.engine, study_id, 9, last_finished(db.engine, study_id)) == []


def test_metrics_come_back_and_what_is_not_finite_is_null(db: Database, begin: Begin, rows: Rows) -> None:
    measured = {"wer": 0.25, "größe/max": float("inf"), "undefined": np.float64("nan")}
    for metrics in (measured, None):
        assert record_trial(db.engine, begin(), TrialResult(outcome=Outcome.TRAINED, steps=2, metrics=metrics))
    assert read_trials(db, "s")["metrics"].tolist() == [{"wer": 0.25, "größe/max": None, "undefined": None}, {}]
    assert rows("SELECT COUNT(*) FROM gradstudy_trial WHERE metrics IS NULL") == [(1,)]
