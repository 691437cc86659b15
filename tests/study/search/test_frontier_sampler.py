from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from scipy.special import expit

from gradstudy.study.search.axes import find_axes
from gradstudy.study.search.frontier_sampler import FrontierSampler, Search
from gradstudy.study.search.space import suggest
from gradstudy.study.spec.study_spec import StudySpec, parse_spec

SPEC = parse_spec(
    {"name": "s", "sampler": "frontier",
     "space": {"cells": ["lstm"], "strategies": ["none", "norm"], "learning_rate": [1e-2, 1e2],
               "thresholds": {"norm": [0.1, 0.99]}}}
)  # fmt: skip
EDGES = {"none": 1.0, "norm": -0.5}
"""In decades: where half of the runs diverge, with 16 log odds a decade."""
FRONTIERS = {strategy: edge - np.log(9) / 16 for strategy, edge in EDGES.items()}


def run(study: optuna.Study, trials: int, random: np.random.Generator, spec: StudySpec = SPEC) -> None:
    """Trials one after the other; the loss is lowest half a decade below the edge and lower with clipping."""
    for _ in range(trials):
        trial = study.ask()
        setting = suggest(trial, spec)
        above = np.log10(setting.learning_rate) - EDGES[setting.strategy]
        margin = 3.0 * (above + random.logistic() / 16)
        trial.set_constraint("divergence", float(np.clip(margin, -1, 10)))
        lowest = 1.0 if setting.strategy == "norm" else 1.5
        study.tell(trial, 3.0 if margin > 0 else lowest + 0.3 * abs(above + 0.5))


@pytest.fixture(scope="module")
def searched() -> optuna.Study:
    study = optuna.create_study(sampler=FrontierSampler(0))
    run(study, 60, np.random.default_rng(0))
    return study


def at_the_edge(study: optuna.Study, strategy: str) -> np.ndarray:
    """Decades from the frontier of the later trials that look for the edge of a strategy."""
    chosen = [trial for trial in study.trials[20:] if trial.number % 3 != 2 and trial.params["strategy"] == strategy]
    return np.array([np.log10(trial.params["learning_rate"]) for trial in chosen]) - FRONTIERS[strategy]


@pytest.mark.parametrize("strategy", ["none", "norm"])
def test_trials_are_spent_near_the_frontier_of_each_strategy(searched: optuna.Study, strategy: str) -> None:
    away = at_the_edge(searched, strategy)
    assert len(away) > 5
    assert np.median(np.abs(away)) < 0.3  # 1.0 where learning rates are spread over four decades


def test_the_model_knows_the_frontiers(searched: optuna.Study) -> None:
    axes = find_axes(searched.trials)
    assert axes is not None
    search = Search(axes, searched.trials)
    for target, crossing in zip(search.targets, search.model.crossing, strict=True):
        assert crossing == pytest.approx(FRONTIERS[target.group[1]], abs=0.2)  # the middle of the range is 0
    assert (search.model.sd < 0.15).all()


def test_every_third_trial_looks_for_the_best_setting_below_the_frontier(searched: optuna.Study) -> None:
    best = [trial for trial in searched.trials[30:] if trial.number % 3 == 2]
    norm = [trial for trial in best if trial.params["strategy"] == "norm"]  # whose losses are lower
    assert len(norm) > 0.6 * len(best)
    away = [np.log10(trial.params["learning_rate"]) - FRONTIERS["norm"] for trial in norm]
    assert max(away) < 0
    assert np.median(away) == pytest.approx(-0.5 + np.log(9) / 16, abs=0.3)


def test_the_same_seed_and_the_same_results_give_the_same_settings() -> None:
    def settings() -> list[Any]:
        study = optuna.create_study(sampler=FrontierSampler(3))
        run(study, 24, np.random.default_rng(1))
        return [trial.params for trial in study.trials]

    assert settings() == settings()


def test_a_study_goes_on_as_if_it_had_not_stopped() -> None:
    whole = optuna.create_study(sampler=FrontierSampler(3))
    random = np.random.default_rng(1)
    run(whole, 24, random)
    parted = optuna.create_study(sampler=FrontierSampler(3))
    random = np.random.default_rng(1)
    run(parted, 19, random)
    parted.sampler = FrontierSampler(3)
    run(parted, 5, random)
    assert [trial.params for trial in parted.trials] == [trial.params for trial in whole.trials]


def test_trials_that_run_at_once_are_spread(searched: optuna.Study) -> None:
    asked = [searched.ask() for _ in range(12)]
    settings = [suggest(trial, SPEC) for trial in asked]
    for trial in asked:
        searched.tell(trial, state=optuna.trial.TrialState.FAIL)
    assert len({(setting.strategy, round(np.log10(setting.learning_rate), 2)) for setting in settings}) > 2
    assert {setting.strategy for setting in settings} == {"none", "norm"}


def test_within_a_bin_the_threshold_does_not_follow_the_learning_rate(searched: optuna.Study) -> None:
    clipped = [trial for trial in searched.trials[20:] if trial.params["strategy"] == "norm"]
    thresholds = np.log10([trial.params["threshold_norm"] for trial in clipped])
    rates = np.log10([trial.params["learning_rate"] for trial in clipped])
    assert thresholds.std() > 0.1
    assert abs(np.corrcoef(thresholds, rates)[0, 1]) < 0.6


def quadratic(random: np.random.Generator) -> Callable[[optuna.Trial], float]:
    """Gradient descent on c / 2 * w ** 2, which diverges above 2 / c, with parameters of other names and kinds."""

    def objective(trial: optuna.Trial) -> float:
        curvature = trial.suggest_categorical("curvature", [0.1, 10.0])
        eta = trial.suggest_float("eta", 1e-3, 1e3, log=True)
        trial.suggest_float("momentum", 0.0, 0.1)
        trial.suggest_int("layers", 1, 3)
        growth = np.log(max(abs(1 - eta * curvature), 1e-9))
        trial.set_constraint("divergence", float(np.clip(100 * growth + random.normal(0, 0.1), -10, 10)))
        return float(np.clip(np.exp(2 * growth), 0, 1))

    return objective


def test_it_finds_two_over_lambda_max_in_anybodys_study() -> None:
    study = optuna.create_study(sampler=FrontierSampler(0))
    study.optimize(quadratic(np.random.default_rng(0)), n_trials=60)
    axes = find_axes(study.trials)
    assert axes is not None
    search = Search(axes, study.trials)
    found = {target.group[0]: crossing for target, crossing in zip(search.targets, search.model.crossing, strict=True)}
    for curvature, crossing in found.items():
        assert crossing == pytest.approx(np.log10(2 / curvature), abs=0.2)


def test_larger_values_are_better_where_the_study_maximizes() -> None:
    study = optuna.create_study(direction="maximize", sampler=FrontierSampler(0))
    random = np.random.default_rng(0)

    def objective(trial: optuna.Trial) -> float:
        decade = np.log10(trial.suggest_float("lr", 1e-2, 1e2, log=True))
        trial.set_constraint("divergence", 3.0 if random.random() < expit(20 * (decade - 1)) else -0.5)
        return -abs(decade + 0.5)

    study.optimize(objective, n_trials=40)
    best = [np.log10(trial.params["lr"]) for trial in study.trials[20:] if trial.number % 3 == 2]
    assert np.median(best) == pytest.approx(-0.5, abs=0.3)


def test_parts_of_many_frontiers_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradstudy.study.search.frontier_sampler.MOST_TARGETS", 2)
    study = optuna.create_study(sampler=FrontierSampler(0))
    run(study, 60, np.random.default_rng(0))
    turns = [trial.params["strategy"] for trial in study.trials[20:]]
    assert all(set(turns[place : place + 2]) == {"none", "norm"} for place in range(0, 40, 2))


def test_trials_without_the_constraint_say_nothing_about_the_edge() -> None:
    study = optuna.create_study(sampler=FrontierSampler(0))
    study.optimize(lambda trial: trial.suggest_float("lr", 1e-2, 1e2, log=True), n_trials=12)
    axes = find_axes(study.trials)
    assert axes is not None
    assert Search(axes, study.trials).model.sd[0] > 1.0  # as the prior has it
