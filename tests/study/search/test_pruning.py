import math
from collections.abc import Callable
from typing import Any

import optuna
import pytest

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_steps, read_trials
from gradstudy.study.errors import SpecError
from gradstudy.study.report.report import read_report
from gradstudy.study.search.pruning import falls_behind, make_pruner, steps_between_rungs
from gradstudy.study.spec.study_spec import StudySpec, parse_spec

VALUES = {
    "sampler": "qmc",
    "name": "s", "task": "copy", "task_options": {"max_length": 4, "examples": 200}, "model": {"hidden_size": 8},
    "steps": 60, "batch_size": 8, "trials": 30, "pruner": "median",
    "space": {"cells": ["gru"], "strategies": ["none"], "learning_rate": [0.001, 300]},
}  # fmt: skip


@pytest.fixture
def pruned() -> StudySpec:
    return parse_spec(VALUES)


def test_pruned_trials_are_pruned_everywhere_and_no_evidence_about_divergence(
    db: Database, work: Callable[..., None], pruned: StudySpec, optuna_trials: Callable[[Database], list[Any]]
) -> None:
    work(db, pruned)
    trials = read_trials(db, "s")
    ended = trials[trials["outcome"] == "pruned"]
    assert 3 < len(ended) < 30
    assert (ended["steps"] < 60).all()
    assert ended["objective"].isna().all()
    for row, trial in zip(trials.to_dict("records"), optuna_trials(db), strict=True):
        assert (row["outcome"] == "pruned") == (trial.state is optuna.trial.TrialState.PRUNED)
        assert row["state"] == trial.state.name
        if row["outcome"] == "pruned":
            assert trial.value == trial.intermediate_values[max(trial.intermediate_values)]
            assert len(read_steps(db, "s", [row["number"]])) == row["steps"]
    report = read_report(db, "s")
    assert report.frontiers["runs"].sum() == len(trials) - len(ended)
    assert any(f"{len(ended)} runs ended early" in sentence for sentence in report.caveats)
    assert not any("have not ended" in sentence for sentence in report.caveats)


def test_a_trial_behind_the_median_of_its_rung_is_pruned(pruned: StudySpec) -> None:
    study = optuna.create_study(pruner=make_pruner(pruned))
    rung = steps_between_rungs(pruned)
    for loss in (1.0, 2.0, 3.0, 4.0, 5.0):
        trial = study.ask()
        assert not falls_behind(study, trial._trial_id, rung, loss)
        study.tell(trial, loss)
    assert falls_behind(study, study.ask()._trial_id, rung, 3.1)
    assert not falls_behind(study, study.ask()._trial_id, rung, 2.9)


def test_hyperband_lets_about_a_third_of_a_bracket_go_on() -> None:
    spec = parse_spec(VALUES | {"pruner": "hyperband"})
    study = optuna.create_study(study_name="s", pruner=make_pruner(spec))
    rung = steps_between_rungs(spec)
    behind = [falls_behind(study, study.ask()._trial_id, rung, (7 * place) % 60 / 10) for place in range(60)]
    assert 15 < sum(behind) < 50


def test_a_trial_that_is_run_again_reports_anew(pruned: StudySpec) -> None:
    study = optuna.create_study(pruner=make_pruner(pruned))
    trial_id = study.ask()._trial_id
    falls_behind(study, trial_id, 6, 2.0)
    assert not falls_behind(study, trial_id, 6, 1.5)
    assert math.isclose(study.trials[0].intermediate_values[6], 1.5)


def test_the_frontier_is_not_searched_with_pruned_runs() -> None:
    with pytest.raises(SpecError, match=r"pruner must be 'none' with sampler 'frontier'.*but got 'median'"):
        parse_spec(VALUES | {"sampler": "frontier"})


def test_trials_of_several_arrays_may_be_pruned_at_the_same_moment(
    db: Database, work: Callable[..., None], pruned: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradstudy.study.worker.bookkeeping.falls_behind", lambda *judged: True)
    both = pruned.model_copy(update={"space": pruned.space.model_copy(update={"cells": ("lstm", "gru")})})
    work(db, both, slots=2)
    outcomes = read_trials(db, "s")["outcome"]
    assert len(outcomes) == both.trials
    assert set(outcomes) <= {"pruned", "diverged"}
