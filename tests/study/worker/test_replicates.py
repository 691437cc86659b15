from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from one_trial import begin_trial, claim_trial

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.studies import find_study
from gradstudy.storage.workers import register_worker
from gradstudy.study.errors import SpecError
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import StudySpec, parse_spec

Work = Callable[..., None]
SETTING = ["cell", "strategy", "threshold", "learning_rate"]
OTHER = SettingRow(cell="lstm", strategy="none", threshold=None, learning_rate=0.1, factors={})


def test_the_budget_counts_runs_and_must_be_a_multiple_of_the_seeds(spec: StudySpec) -> None:
    values = spec.model_dump(mode="json")
    assert parse_spec(values | {"seeds": 4}).trials == 12
    with pytest.raises(SpecError, match=r"^trials counts training runs and must be a multiple of seeds \(5\), "
                                        r"such as 10 or 15, but got 12$"):  # fmt: skip
        parse_spec(values | {"seeds": 5})
    with pytest.raises(SpecError, match="such as 20, but got 12"):
        parse_spec(values | {"seeds": 20})


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
    study = create_or_resume(db, changed)
    worker = register_worker(db.engine, "there", 1, "cpu")
    first = claim_trial(db.engine, study, worker, int, replicates=3)
    assert first is not None
    begin_trial(db.engine, first, OTHER, {1: 101, 2: 102})
    with db.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE gradstudy_worker SET last_seen_at = '2001-01-01 00:00:00.000000'")
    work(db, changed)
    trials = read_trials(db, "s")
    assert sorted(trials["ordinal"]) == list(range(12))
    assert trials[trials["ordinal"] < 3]["learning_rate"].tolist() == [0.1] * 3
    assert find_study(db, "s").budget == 12
