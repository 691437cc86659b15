from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest

from gradstudy.storage.claims import Claim, attach_trial, claim_trial, give_back
from gradstudy.storage.database import Database
from gradstudy.storage.enqueued import SettingRow, enqueue_trials
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import REMAINING, count_outcomes
from gradstudy.storage.studies import find_study
from gradstudy.storage.workers import register_worker
from gradstudy.study.errors import SpecError
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec import StudySpec, parse_spec

Work = Callable[..., None]
SETTING = ["cell", "strategy", "threshold", "learning_rate"]
ROW = SettingRow(cell="gru", strategy="norm", threshold=0.5, learning_rate=2.0, factors={})
OTHER = SettingRow(cell="lstm", strategy="none", threshold=None, learning_rate=0.1, factors={})


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def any_db(request: pytest.FixtureRequest) -> Iterator[Database]:
    with Database.open(request.getfixturevalue(f"{request.param}_url")) as database:
        yield database


def study_of(db: Database, spec: StudySpec) -> tuple[int, list[int]]:
    """A study and two workers."""
    record = create_or_resume(db, spec)
    return record.study_id, [register_worker(db.engine, "here", pid, "cpu") for pid in (1, 2)]


def claim(db: Database, study: int, worker: int, replicates: int = 3) -> Claim | None:
    return claim_trial(db.engine, study, worker, int, replicates=replicates)


def begin(db: Database, study: int, claimed: Claim, setting: SettingRow, replicates: int = 3) -> Claim:
    others = {claimed.ordinal + place: 100 + place for place in range(1, replicates)}
    return attach_trial(db.engine, claimed, db.optuna_storage.create_new_trial(study), setting, others)


def test_the_budget_counts_runs_and_must_be_a_multiple_of_the_seeds(spec: StudySpec) -> None:
    values = spec.model_dump(mode="json")
    assert parse_spec(values | {"seeds": 4}).trials == 12
    with pytest.raises(SpecError, match=r"^trials counts training runs and must be a multiple of seeds \(5\), "
                                        r"such as 10 or 15, but got 12$"):  # fmt: skip
        parse_spec(values | {"seeds": 5})
    with pytest.raises(SpecError, match="such as 20, but got 12"):
        parse_spec(values | {"seeds": 20})


def test_a_worker_that_claims_before_a_setting_is_known_gets_the_next_setting(
    any_db: Database, spec: StudySpec
) -> None:
    study, (one, two) = study_of(any_db, spec)
    first, next_ = claim(any_db, study, one), claim(any_db, study, two)
    assert first is not None
    assert next_ is not None
    assert (first.ordinal, next_.ordinal) == (0, 3)
    assert first.setting is next_.setting is None
    begin(any_db, study, first, ROW)
    sibling = claim(any_db, study, two)
    assert sibling is not None
    assert (sibling.ordinal, sibling.setting, sibling.seed, sibling.trial_id) == (1, ROW, 101, None)
    assert sibling.attempt == 1


def test_a_setting_that_nobody_gave_is_asked_for_by_who_claims_it_next(any_db: Database, spec: StudySpec) -> None:
    study, (one, two) = study_of(any_db, spec)
    first = claim(any_db, study, one)
    assert first is not None
    give_back(any_db.engine, first)
    again = claim(any_db, study, two)
    assert again is not None
    assert (again.ordinal, again.setting) == (0, None)


def test_attaching_twice_enqueues_once(any_db: Database, spec: StudySpec) -> None:
    study, (one, _) = study_of(any_db, spec)
    first = claim(any_db, study, one)
    assert first is not None
    begun = begin(any_db, study, first, ROW)
    assert begun.trial_id is not None
    attach_trial(any_db.engine, first, begun.trial_id, ROW, {1: 101, 2: 102})  # the answer to the first was lost
    ordinals = []
    while claimed := claim(any_db, study, one):
        ordinals.append(claimed.ordinal)
    assert ordinals == [1, 2, 3, 6, 9]


def test_a_study_grows_by_chosen_settings_once(any_db: Database, spec: StudySpec) -> None:
    study, (one, _) = study_of(any_db, spec.model_copy(update={"trials": 1}))
    assert claim(any_db, study, one, 1) is not None
    assert enqueue_trials(any_db.engine, study, 1, [(ROW, 7), (OTHER, 8)])
    assert not enqueue_trials(any_db.engine, study, 1, [(ROW, 9)])
    assert count_outcomes(any_db.engine, study)[REMAINING] == 2
    claims = [claim(any_db, study, one, 1) for _ in range(3)]
    assert [made and (made.ordinal, made.setting, made.seed) for made in claims] == [(1, ROW, 7), (2, OTHER, 8), None]


@pytest.mark.parametrize("sampler", ["qmc", "random", "tpe"])
def test_the_runs_of_a_setting_differ_by_their_seed_only(
    db: Database, spec: StudySpec, work: Work, sampler: str
) -> None:
    work(db, spec.model_copy(update={"sampler": sampler, "seeds": 3, "steps": 3}), slots=4)
    trials = read_trials(db, "s")
    assert sorted(trials["ordinal"]) == list(range(12))
    assert trials["seed"].nunique() == 12
    settings = trials.groupby(trials["ordinal"] // 3)[SETTING]
    assert settings.nunique(dropna=False).eq(1).all(axis=None)
    assert settings.first().drop_duplicates().shape == (4, 4)
    for row, trial in zip(
        trials.to_dict("records"), optuna.load_study(study_name="s", storage=db.optuna_storage).trials, strict=True
    ):
        assert trial.params["learning_rate"] == row["learning_rate"]
        assert trial.params.get(f"threshold_{row['strategy']}", np.nan) == pytest.approx(row["threshold"], nan_ok=True)


def test_settings_are_those_of_a_study_without_replicates(
    new_db: Callable[[], Database], spec: StudySpec, work: Work
) -> None:
    single, triple = new_db(), new_db()
    work(single, spec.model_copy(update={"steps": 2, "trials": 4}))
    work(triple, spec.model_copy(update={"steps": 2, "seeds": 3}))
    first = read_trials(triple, "s").sort_values("ordinal").query("ordinal % 3 == 0")
    pd.testing.assert_frame_equal(first[SETTING].reset_index(drop=True), read_trials(single, "s")[SETTING])


def test_a_sampler_is_asked_once_for_a_setting(
    db: Database, spec: StudySpec, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    ask = optuna.samplers.TPESampler.sample_relative

    def count(self: Any, study: Any, trial: Any, space: Any) -> Any:
        asked.append(trial.number)
        return ask(self, study, trial, space)

    monkeypatch.setattr(optuna.samplers.TPESampler, "sample_relative", count)
    work(db, spec.model_copy(update={"sampler": "tpe", "seeds": 4, "steps": 2}))
    assert len(asked) == 3


def test_what_is_enqueued_waits_for_the_worker_that_was_lost(db: Database, spec: StudySpec, work: Work) -> None:
    changed = spec.model_copy(update={"seeds": 3, "steps": 2})
    study, (one, _) = study_of(db, changed)
    first = claim(db, study, one)
    assert first is not None
    begin(db, study, first, OTHER)
    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE gradstudy_worker SET last_seen_at = '2001-01-01 00:00:00.000000'")
    work(db, changed)
    trials = read_trials(db, "s")
    assert sorted(trials["ordinal"]) == list(range(12))
    assert trials[trials["ordinal"] < 3]["learning_rate"].tolist() == [0.1] * 3
    assert find_study(db, "s").budget == 12
