from collections import Counter
from collections.abc import Callable
from json import loads
from typing import Any

import optuna
import pytest
from one_trial import begin_trial, claim_trial

from gradstudy.storage.claims import Claim
from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.storage.queue import SettingRow
from gradstudy.storage.studies import Versions, create_study, delete_study
from gradstudy.storage.workers import register_worker

Run = Callable[..., Claim]
OUTCOMES = ["diverged", "trained", "stalled", "diverged", "failed"]


@pytest.fixture
def outcomes(db: Database, run: Run) -> list[str]:
    for outcome in OUTCOMES:
        run(outcome, losses=(1.0, float("nan"), 3.0), objective=None if outcome == "failed" else 1.0)
    return OUTCOMES


def test_every_trial_is_in_the_frame_with_optunas_state(db: Database, outcomes: list[str]) -> None:
    frame = read_trials(db, "s")
    assert frame["outcome"].tolist() == outcomes
    assert frame["number"].tolist() == [0, 1, 2, 3, 4]
    study = optuna.load_study(study_name="s", storage=db.optuna_storage)
    assert Counter(frame["state"]) == Counter(trial.state.name for trial in study.trials)
    assert frame["trial_id"].tolist() == [trial._trial_id for trial in study.trials]


def test_columns_have_their_types_even_when_empty(db: Database, run: Run) -> None:
    run("trained")
    frame = read_trials(db, "s")
    assert frame["factors"].tolist() == [{"hidden_size": 32}]
    kinds = {name: str(frame[name].dtype) for name in ("diverged_at_step", "final_loss", "reason", "worker")}
    assert kinds == {"diverged_at_step": "Int64", "final_loss": "float64", "reason": "str", "worker": "Int64"}
    assert (frame["finished_at"] >= frame["started_at"]).all()


def test_a_trial_that_optuna_does_not_know_yet_is_left_out(db: Database, claim_next: Run, begin: Run) -> None:
    claim_next()
    begin()
    assert read_trials(db, "s")["ordinal"].tolist() == [1]


def test_steps_can_be_chosen(db: Database, outcomes: list[str]) -> None:
    assert len(read_steps(db, "s")) == 3 * len(outcomes)
    frame = read_steps(db, "s", numbers=[3, 1], every=2)
    assert list(zip(frame["number"], frame["step"], frame["loss"], frame["outcome"], strict=True)) == [
        (1, 0, 1.0, "trained"),
        (1, 2, 3.0, "trained"),
        (3, 0, 1.0, "diverged"),
        (3, 2, 3.0, "diverged"),
    ]
    assert read_steps(db, "s", numbers=[]).empty


def test_an_empty_study_gives_empty_frames_and_a_missing_one_an_error(db: Database, study_id: int) -> None:
    assert read_trials(db, "s").empty
    assert read_steps(db, "s").empty
    for read in (read_trials, read_steps):
        with pytest.raises(NotFoundError):
            read(db, "t")


def setting(learning_rate: float, **factors: int) -> SettingRow:
    return SettingRow(cell="gru", strategy="none", threshold=None, learning_rate=learning_rate, factors=factors)


def test_the_summary_counts_each_setting(run: Run, rows: Callable[[str], list[Any]]) -> None:
    for outcome, learning_rate in (
        ("diverged", 2.0), ("trained", 1.0), ("stalled", 3.0), ("failed", 2.0), ("diverged", 20.0),
    ):  # fmt: skip
        run(outcome, setting=setting(learning_rate))
    columns = "study, cell, strategy, threshold_bin, learning_rate_bin, n, diverged, rate"
    assert rows(f"SELECT {columns} FROM setting_summary ORDER BY learning_rate_bin") == [
        ("s", "gru", "none", None, 1.0, 3, 1, pytest.approx(1 / 3)),
        ("s", "gru", "none", None, 10.0, 1, 1, 1.0),
    ]


def test_the_summary_tells_the_values_of_factors_apart(run: Run, rows: Callable[[str], list[Any]]) -> None:
    for outcome, length in (("trained", 5), ("trained", 5), ("diverged", 50)):
        run(outcome, setting=setting(100.0, length=length, depth=2))
    told = rows("SELECT factors, n, rate FROM setting_summary WHERE learning_rate_bin = 100 ORDER BY n")
    assert [(loads(f) if isinstance(f, str) else f, *counts) for f, *counts in told] == [
        ({"length": 50, "depth": 2}, 1, 1.0),
        ({"length": 5, "depth": 2}, 2, 0.0),
    ]


def test_rows_of_all_horizons_of_a_study_are_asked_for_together(db: Database) -> None:
    versions = Versions(gradstudy="0.1", optuna="5.0.0", torch="2.9")
    first = create_study(db, "first", {"steps": 200}, 5, versions)
    longer = create_study(db, "first-at-800", {"steps": 800}, 5, versions, extends=first.identity)
    of_itself = create_study(db, "first-other", {"steps": 100}, 5, versions)
    worker = register_worker(db.engine, "here", 1, "cpu")
    setting = SettingRow(cell="lstm", strategy="norm", threshold=1.0, learning_rate=0.5)
    for study in (first, longer, longer, of_itself):
        claim = claim_trial(db.engine, study, worker, int)
        assert claim is not None
        begin_trial(db.engine, claim, setting)
    asked = "SELECT horizon, COUNT(*) FROM trial_result WHERE root_study = 'first' GROUP BY horizon ORDER BY horizon"
    with db.engine.connect() as connection:
        assert [tuple(row) for row in connection.exec_driver_sql(asked)] == [(200, 1), (800, 2)]
    frame = read_trials(db, "first-at-800")
    assert frame["horizon"].tolist() == [800, 800]
    assert set(frame["root_study"]) == {"first"}
    delete_study(db, "first")
    assert set(read_trials(db, "first-at-800")["root_study"]) == {"first-at-800"}
