from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna
import pytest
from one_trial import claim_trial, record_trial
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from gradstudy.storage.beginning import Beginning, begin_trials
from gradstudy.storage.bins import half_decade
from gradstudy.storage.claiming import claim_trials, end_study
from gradstudy.storage.claims import Claim, give_back, is_owned
from gradstudy.storage.database import Database
from gradstudy.storage.errors import StudyDeletedError
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.results import Outcome, TrialResult
from gradstudy.storage.schema import Step
from gradstudy.storage.studies import StudyRecord
from gradstudy.storage.workers import register_worker

Begin = Callable[..., Claim]
Rows = Callable[[str], list[Any]]
SETTING = SettingRow(cell="gru", strategy="none", threshold=None, learning_rate=2.0, factors={})
TRIAL = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)


def another(study: StudyRecord) -> StudyRecord:
    """One that had the same numbers and the same name before it was deleted."""
    return replace(study, identity="0" * 32)


def test_claims_use_up_the_budget(db: Database, launched: StudyRecord, worker_id: int) -> None:
    claims = [claim_trial(db.engine, launched, worker_id, lambda n: n * n) for _ in range(6)]
    assert [claim and (claim.ordinal, claim.seed, claim.attempt) for claim in claims] == [
        (0, 0, 1), (1, 1, 1), (2, 4, 1), (3, 9, 1), (4, 16, 1), None,
    ]  # fmt: skip


def test_a_group_takes_what_waits_then_new_places_and_no_more_than_its_share(
    db: Database, launched: StudyRecord, worker_id: int
) -> None:
    def group(wanted: int, **given: int) -> list[int]:
        return [claim.ordinal for claim in claim_trials(db.engine, launched, worker_id, int, wanted=wanted, **given)]

    first = claim_trials(db.engine, launched, worker_id, int, wanted=2)
    assert give_back(db.engine, first[0])
    assert group(3, held=1, workers=2) == [0, 2]  # with the one that it holds, three of five
    assert group(9, held=3) == [3, 4]
    assert group(9, held=5) == []


def test_a_new_claim_has_no_setting_until_it_is_attached(begin: Begin, claim_next: Begin) -> None:
    assert claim_next().setting is None
    assert begin().setting is not None


def test_a_trial_that_was_given_back_comes_first_with_its_setting_and_seed(
    db: Database, begin: Begin, claim_next: Begin, launched: StudyRecord
) -> None:
    setting = SettingRow(cell="gru", strategy="none", threshold=None, learning_rate=2.0, factors={})
    first = begin(setting)
    begin()
    assert give_back(db.engine, first)
    other = register_worker(db.engine, "there", 1, "cpu")
    again = claim_trial(db.engine, launched, other, lambda _: -1)
    assert again == Claim(
        id=first.id, study_id=launched.study_id, identity=launched.identity, ordinal=0, attempt=2, worker_id=other,
        trial_id=first.trial_id, setting=setting, seed=1000,
    )  # fmt: skip
    assert claim_next().ordinal == 2


def test_a_trial_that_had_not_begun_does_not_lose_an_attempt(db: Database, claim_next: Begin) -> None:
    claim = claim_next()
    give_back(db.engine, claim)
    assert claim_next() == claim


def test_giving_back_removes_the_steps(db: Database, begin: Begin, rows: Rows) -> None:
    claim = begin()
    with db.engine.begin() as connection:
        connection.execute(insert(Step).values(trial_id=claim.trial_id, step=0, loss=1.0))
    give_back(db.engine, claim)
    assert rows("SELECT * FROM gradstudy_step") == []


def test_a_lost_claim_can_neither_be_given_back_nor_begun(
    db: Database, launched: StudyRecord, claim_next: Begin, rows: Rows
) -> None:
    lost = claim_next()
    give_back(db.engine, lost)
    other = register_worker(db.engine, "there", 1, "cpu")
    (again,) = claim_trials(db.engine, launched, other, int)
    assert again.ordinal == lost.ordinal
    assert not give_back(db.engine, lost)
    mine = claim_next()
    beginnings = [Beginning(claim, SETTING, TRIAL) for claim in (lost, mine)]
    assert [begun and begun.ordinal for begun in begin_trials(db.engine, beginnings)] == [None, 1]
    assert rows("SELECT number, state FROM trials") == [(0, "RUNNING")]


def test_a_missing_study_or_worker_is_an_error(db: Database, launched: StudyRecord, worker_id: int) -> None:
    with pytest.raises(StudyDeletedError, match="the study 's' was deleted, so its worker stops"):
        claim_trial(db.engine, another(launched), worker_id, int)
    with pytest.raises(IntegrityError):
        claim_trial(db.engine, launched, 99, int)


def test_a_result_proves_that_its_study_is_still_the_one_that_it_began_with(
    db: Database, begin: Begin, rows: Rows
) -> None:
    claim = begin()
    other = replace(claim, identity="0" * 32)  # with all the same numbers, as in a database that was made anew
    result = TrialResult(outcome=Outcome.TRAINED, steps=1)
    assert not is_owned(db.engine, other)
    assert not record_trial(db.engine, other, result)
    assert not give_back(db.engine, other)
    assert rows("SELECT outcome, worker_id IS NULL FROM gradstudy_trial") == [(None, 0)]
    assert is_owned(db.engine, claim)
    assert record_trial(db.engine, claim, result)


def test_the_counts_add_up_to_the_budget(
    db: Database, launched: StudyRecord, run: Callable[..., Claim], begin: Begin, claim_next: Begin
) -> None:
    run("diverged")
    run("trained")
    begin()
    give_back(db.engine, claim_next())
    assert count_outcomes(db.engine, launched) == {
        "trained": 1, "stalled": 0, "diverged": 1, "pruned": 0, "failed": 0, "running": 1, "remaining": 2,
    }  # fmt: skip
    with pytest.raises(StudyDeletedError):
        count_outcomes(db.engine, another(launched))


def test_every_trial_of_a_half_decade_has_the_same_bin() -> None:
    edges = [10 ** (exponent / 2) for exponent in range(-12, 13)]
    assert [half_decade(edge) for edge in edges] == edges
    assert {half_decade(edge * 1.5) for edge in edges} == set(edges)
    assert half_decade(0.7) == 10**-0.5
    assert [half_decade(value) for value in (None, 0.0, -1.0, float("inf"))] == [None] * 4


def test_a_study_that_was_ended_has_no_more_to_claim_than_what_was_given_back(
    db: Database, begin: Begin, launched: StudyRecord, worker_id: int
) -> None:
    first, second = begin(), begin()
    assert end_study(db.engine, launched) == 2
    assert claim_trial(db.engine, launched, worker_id, int) is None
    assert give_back(db.engine, first)
    again = claim_trial(db.engine, launched, worker_id, int)
    assert again is not None
    assert (again.ordinal, second.ordinal) == (0, 1)
    assert count_outcomes(db.engine, launched)["remaining"] == 0
    with pytest.raises(StudyDeletedError):
        end_study(db.engine, another(launched))
