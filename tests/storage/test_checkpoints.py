from collections.abc import Callable
from typing import Any

import pytest
from one_trial import record_trial

from gradstudy.storage import checkpoints
from gradstudy.storage.checkpoints import read_checkpoints, save_checkpoint, tell_steps
from gradstudy.storage.claims import Claim, give_back
from gradstudy.storage.database import Database
from gradstudy.storage.lost_workers import MOST_LOSSES, SAME_STEP, release_worker
from gradstudy.storage.results import Outcome, TrialResult

Rows = Callable[[str], list[Any]]
STATE = bytes(range(256)) * 40


def test_the_last_two_states_of_a_trial_are_kept_until_it_ends(
    db: Database, begin: Callable[..., Claim], rows: Rows
) -> None:
    claim, other = begin(), begin()
    for step in (10, 20, 30, 30):
        assert save_checkpoint(db.engine, claim, step, STATE + bytes([step]))
    assert save_checkpoint(db.engine, other, 5, b"other")
    assert read_checkpoints(db.engine, claim) == [(30, STATE + b"\x1e"), (20, STATE + b"\x14")]
    assert record_trial(db.engine, claim, TrialResult(outcome=Outcome.TRAINED, steps=40))
    assert read_checkpoints(db.engine, claim) == []
    assert read_checkpoints(db.engine, other) == [(5, b"other")]


def test_a_state_that_is_larger_than_a_packet_comes_back_whole(
    db: Database, begin: Callable[..., Claim], monkeypatch: pytest.MonkeyPatch, rows: Rows
) -> None:
    monkeypatch.setattr(checkpoints, "PART", 1000)
    claim = begin()
    assert save_checkpoint(db.engine, claim, 10, STATE)
    assert read_checkpoints(db.engine, claim) == [(10, STATE)]
    assert rows("SELECT COUNT(*) FROM gradstudy_checkpoint") == [(11,)]
    monkeypatch.setattr(checkpoints, "LARGEST", len(STATE) - 1)
    assert not save_checkpoint(db.engine, claim, 20, STATE)
    assert read_checkpoints(db.engine, claim) == [(10, STATE)]


def test_four_million_bytes_and_more_are_no_matter(db: Database, begin: Callable[..., Claim]) -> None:
    claim, state = begin(), STATE * 900
    assert save_checkpoint(db.engine, claim, 10, state)
    assert read_checkpoints(db.engine, claim) == [(10, state)]


def test_who_has_lost_a_trial_keeps_nothing_of_it(db: Database, begin: Callable[..., Claim]) -> None:
    claim = begin()
    assert give_back(db.engine, claim)
    assert not save_checkpoint(db.engine, claim, 10, STATE)
    tell_steps(db.engine, [(claim, 7)])
    assert read_checkpoints(db.engine, claim) == []


def test_a_deleted_study_leaves_no_states(db: Database, begin: Callable[..., Claim], rows: Rows) -> None:
    assert save_checkpoint(db.engine, begin(), 10, STATE)
    db.optuna_storage.delete_study(db.optuna_storage.get_study_id_from_name("s"))
    assert rows("SELECT COUNT(*) FROM gradstudy_checkpoint") == [(0,)]


def lose(db: Database, claim: Claim, step: int) -> bool:
    """Let a worker be lost with a trial at a step; whether the trial has failed by that."""
    tell_steps(db.engine, [(claim, step)])
    return bool(release_worker(db.engine, claim.worker_id).failed)


def test_a_trial_that_ends_its_workers_at_the_same_step_fails(db: Database, begin: Callable[..., Claim]) -> None:
    assert not lose(db, begin(), 0)
    for _ in range(SAME_STEP - 1):
        assert not lose(db, begin(), 30)
    assert lose(db, begin(), 30)


def test_a_trial_that_is_lost_at_one_step_and_another_goes_on(db: Database, begin: Callable[..., Claim]) -> None:
    for step in (0, 30, 30, 40, 40, 10, 20, 20, 0, 0):
        assert not lose(db, begin(), step)
    losses = 0
    while not lose(db, begin(), 50 + losses):
        losses += 1
    assert losses + 11 == MOST_LOSSES


def test_a_trial_that_was_kept_has_not_been_lost(db: Database, begin: Callable[..., Claim]) -> None:
    for _ in range(3):
        for _ in range(SAME_STEP - 1):
            assert not lose(db, begin(), 30)
        claim = begin()
        assert claim.losses == SAME_STEP - 1
        assert save_checkpoint(db.engine, claim, 40, STATE)
        assert give_back(db.engine, claim)
        again = begin()
        assert again.losses == 0
        assert give_back(db.engine, again)
