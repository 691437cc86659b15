import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from waiting import PATIENCE_SECONDS

from gradstudy.models.tasks.pairs import TokenPairs
from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.studies import find_study
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import StudySpec
from gradstudy.study.training.replay import replay_trial
from tests.study.conftest import Silent

Execute = Callable[..., list[Any]]
Optuna = Callable[[Database], list[optuna.trial.FrozenTrial]]
Work = Callable[..., None]


@pytest.fixture
def trials(finished: Database) -> pd.DataFrame:
    return read_trials(finished, "s")


def test_every_trial_of_the_budget_has_an_outcome(finished: Database, trials: pd.DataFrame) -> None:
    counts = count_outcomes(finished.engine, find_study(finished, "s"))
    assert trials["ordinal"].tolist() == trials["number"].tolist() == list(range(12))
    assert {outcome: count for outcome, count in counts.items() if count} == Counter(trials["outcome"])
    assert set(trials["outcome"]) == {"trained", "stalled", "diverged"}
    assert set(trials["reason"].dropna()) == {"blow_up"}


def test_optuna_holds_what_the_view_shows(finished: Database, trials: pd.DataFrame, optuna_trials: Optuna) -> None:
    for row, trial in zip(trials.to_dict("records"), optuna_trials(finished), strict=True):
        assert (row["number"], row["state"]) == (trial.number, "COMPLETE")
        assert row["objective"] == trial.value
        assert (trial.params["cell"], trial.params["strategy"]) == (row["cell"], row["strategy"])
        assert trial.params["learning_rate"] == row["learning_rate"]
        assert trial.params.get(f"threshold_{row['strategy']}", np.nan) == pytest.approx(row["threshold"], nan_ok=True)
        for name, value in trial.user_attrs.items():
            assert row[name] == value
        assert {"outcome", "final_loss", "grad_norm_p90", "seconds"} <= set(trial.user_attrs)


def test_the_constraint_is_violated_exactly_by_diverged_trials(
    finished: Database, trials: pd.DataFrame, optuna_trials: Optuna
) -> None:
    constraints = [trial.constraints for trial in optuna_trials(finished)]
    # By its name and, as the only one, by its place in the list of earlier versions of Optuna.
    assert all(constraint == dict.fromkeys(("0", "divergence"), constraint["divergence"]) for constraint in constraints)
    violated = [constraint["divergence"] > 0 for constraint in constraints]
    assert violated == (trials["outcome"] == "diverged").tolist()
    for constraint, row in zip(constraints, trials.to_dict("records"), strict=True):
        margin = np.log(row["final_loss"] / row["initial_loss"])  # above 0 by chance in a run that learned nothing
        expected = margin if row["outcome"] == "diverged" else min(margin, 0.0)
        assert constraint["divergence"] == pytest.approx(expected, abs=1e-6)


def test_optunas_best_trial_did_not_diverge(finished: Database, trials: pd.DataFrame) -> None:
    best = optuna.load_study(study_name="s", storage=finished.optuna_storage).best_trial
    kept = trials[trials["outcome"] != "diverged"]
    assert best.number == kept.loc[kept["objective"].idxmin(), "number"]


def test_a_diverged_trial_gets_the_loss_of_the_untrained_model(trials: pd.DataFrame) -> None:
    diverged = trials[trials["outcome"] == "diverged"]
    assert diverged["validation_loss"].isna().all()
    assert (diverged["objective"] == diverged["initial_validation_loss"]).all()
    kept = trials[trials["outcome"] != "diverged"]
    assert (kept["objective"] == kept[["validation_loss", "initial_validation_loss"]].min(axis=1)).all()


def test_every_diverged_trial_is_in_the_view(finished: Database, trials: pd.DataFrame, execute: Execute) -> None:
    in_table = execute(finished, "SELECT trial_id FROM gradstudy_trial WHERE outcome = 'diverged' ORDER BY trial_id")
    assert [row[0] for row in in_table] == trials.loc[trials["outcome"] == "diverged", "trial_id"].tolist() != []


def test_the_steps_of_a_trial_are_all_there_and_consecutive(finished: Database, trials: pd.DataFrame) -> None:
    steps = read_steps(finished, "s").groupby("number")["step"].apply(list)
    assert steps.to_dict() == {row["number"]: list(range(row["steps"])) for row in trials.to_dict("records")}
    blown_up = trials[trials["reason"] == "blow_up"]
    assert (blown_up["steps"] == blown_up["diverged_at_step"] + 1).all()
    assert set(trials.loc[trials["reason"] != "blow_up", "steps"]) == {30}


def test_the_summary_of_a_trial_is_that_of_its_steps(finished: Database, trials: pd.DataFrame) -> None:
    steps = read_steps(finished, "s")
    for row in trials.to_dict("records"):
        own = steps[steps["number"] == row["number"]]
        assert row["grad_norm_p50"] == pytest.approx(own["grad_norm"].median())
        assert row["grad_norm_max"] == own["grad_norm"].max()
        weights = 0.5 ** (np.arange(len(own))[::-1] / 10)
        assert row["final_loss"] == pytest.approx(np.average(own["loss"], weights=weights))
        if row["strategy"] == "norm":
            assert (own["applied_norm"] <= row["threshold"] * 1.001).all()
            assert row["clipped_fraction"] == pytest.approx((own["grad_norm"] > row["threshold"]).mean())


def test_a_finished_study_has_nothing_more_to_do(finished: Database, execute: Execute, work: Work) -> None:
    before = execute(finished, "SELECT * FROM gradstudy_trial")
    work(finished)
    assert execute(finished, "SELECT * FROM gradstudy_trial") == before
    assert execute(finished, "SELECT COUNT(*) FROM trials") == [(12,)]


@pytest.mark.parametrize("slots", [1, 5])
def test_results_do_not_depend_on_how_many_trials_run_at_once(
    db: Database, trials: pd.DataFrame, work: Work, same_results: Callable[..., None], slots: int
) -> None:
    work(db, slots=slots)
    same_results(read_trials(db, "s"), trials, rtol=1e-4)


def test_a_random_study_runs_with_settings_of_its_own(db: Database, spec: StudySpec, work: Work) -> None:
    work(db, spec.model_copy(update={"sampler": "random", "trials": 4}))
    assert read_trials(db, "s")["learning_rate"].nunique() == 4


def test_tpe_learns_which_trials_diverged(db: Database, spec: StudySpec, work: Work, states: Any) -> None:
    work(db, spec.model_copy(update={"sampler": "tpe", "steps": 4, "trials": 14}), slots=2)
    assert states(db) == ["COMPLETE"] * 14


def test_two_workers_share_the_budget(db: Database, spec: StudySpec, work: Work, states: Any) -> None:
    create_or_resume(db, spec)
    errors: list[BaseException] = []
    both = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    class BeginsWithTheOther(Silent):
        waited = False

        def started(self, ordinal: int) -> None:
            if not self.waited:
                both.wait()
            self.waited = True

    def run() -> None:
        try:
            with Database.open(f"sqlite:///{db.path}") as own:
                work(own, slots=2, listener=BeginsWithTheOther())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    trials = read_trials(db, "s")
    assert sorted(trials["ordinal"]) == list(range(12))
    assert trials["worker"].nunique() == 2
    assert states(db) == ["COMPLETE"] * 12


def test_a_trial_that_cannot_begin_is_given_back(
    db: Database, spec: StudySpec, data: TokenPairs, work: Work, states: Any
) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        work(db, spec.model_copy(update={"batch_size": len(data.train) + 1}))
    counts = count_outcomes(db.engine, find_study(db, "s"))
    assert (counts["running"], counts["remaining"]) == (0, 12)
    assert set(states(db)) == {"WAITING"}


def test_of_steps_that_a_study_does_not_keep_those_that_stand_out_are_there(
    finished: Database, db: Database, work: Work, spec: StudySpec
) -> None:
    work(db, spec.model_copy(update={"keep_steps": 5}))
    whole, kept = read_steps(finished, "s"), read_steps(db, "s")
    ends = read_trials(db, "s").set_index("number")
    for number, of_trial in kept.groupby("number"):
        steps, made = set(of_trial["step"]), int(ends["steps"][number])
        assert steps >= {*range(0, made, 6), made - 1}
        diverged = ends["diverged_at_step"][number]
        assert len(steps) <= 5 + 3
        assert pd.isna(diverged) or min(int(diverged), made - 1) in steps
    both = kept.merge(whole, on=["number", "step"], suffixes=("", "_whole"))
    assert len(both) == len(kept) < len(whole) / 2
    np.testing.assert_allclose(both["loss"], both["loss_whole"], rtol=1e-4)
    assert replay_trial(db, "s", 0).first_difference is None
