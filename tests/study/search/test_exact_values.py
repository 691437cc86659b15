from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import optuna
import pytest
from scipy.special import expit

from gradstudy.study.search.candidates import Candidates
from gradstudy.study.search.from_spec import make_sampler
from gradstudy.study.search.observed_trials import UNTRAINED
from gradstudy.study.search.space import CONSTRAINT, Setting, grid, rounded, suggest
from gradstudy.study.spec.study_spec import StudySpec, parse_spec

RATES = (0.0123456, 0.1, 1.0, 10.0)
THRESHOLDS = (0.25, 1.0, 5.0)
SPACE = {
    "cells": ["lstm"],
    "strategies": ["none", "norm", "value"],
    "learning_rate": {"values": list(RATES)},
    "thresholds": {"norm": {"values": list(THRESHOLDS)}},
}


def spec_of(sampler: str, **given: Any) -> StudySpec:
    """Values of the learning rate and of one threshold, the other one is a range."""
    return parse_spec({"name": "s", "task": "copy", "sampler": sampler, "trials": 48, "space": SPACE} | given)


def searched(spec: StudySpec, trials: int) -> list[Setting]:
    """Settings one after the other, of which those with a high learning rate diverge."""
    study = optuna.create_study(sampler=make_sampler(spec))
    random = np.random.default_rng(0)
    settings = []
    for _ in range(trials):
        trial = study.ask()
        setting = suggest(trial, spec)
        settings.append(setting)
        above = float(np.log10(setting.learning_rate)) - 0.3
        diverged = random.random() < expit(8 * above)
        trial.set_user_attr(UNTRAINED, 4.0)
        trial.set_constraint(CONSTRAINT, 2.0 if diverged else -0.5)
        study.tell(trial, 4.0 if diverged else 2.0 - 0.5 * above)
    return settings


@pytest.mark.parametrize("sampler", ["auto", "qmc", "random", "tpe", "frontier"])
def test_every_sampler_tries_the_values_and_nothing_between(sampler: str) -> None:
    settings = searched(spec_of(sampler), 48)
    assert {setting.learning_rate for setting in settings} == set(RATES)
    assert {setting.threshold for setting in settings if setting.strategy == "norm"} <= set(THRESHOLDS)
    between = [setting.threshold for setting in settings if setting.strategy == "value"]
    assert len(set(between)) > 1


@pytest.mark.parametrize("sampler", ["auto", "qmc", "random", "tpe"])
def test_a_learning_rate_is_held_while_thresholds_are_searched(sampler: str) -> None:
    space = SPACE | {"learning_rate": 0.123456}
    settings = searched(spec_of(sampler, space=space), 30)
    assert {setting.learning_rate for setting in settings} == {0.123456}
    assert {setting.strategy for setting in settings} == {"none", "norm", "value"}


def test_the_frontier_is_looked_for_between_values() -> None:
    settings = searched(spec_of("frontier"), 48)
    later = Counter(setting.learning_rate for setting in settings[16:])
    assert later[1.0] + later[10.0] > later[RATES[0]] + later[0.1]  # runs diverge from 1 to 10


def grid_spec(**given: Any) -> StudySpec:
    space = SPACE | {"cells": ["lstm", "gru"], "strategies": ["none", "norm"], "factors": {"batch_size": [4, 8]}}
    return parse_spec({"name": "s", "task": "copy", "space": space} | given)


def test_a_grid_runs_every_combination_once_in_an_order_of_its_seed() -> None:
    spec = grid_spec()
    asked = searched(spec, spec.trials)
    truth = [
        Setting(cell=cell, strategy=strategy, threshold=threshold, learning_rate=rate, factors=(("batch_size", size),))
        for cell in ("lstm", "gru")
        for strategy, threshold in (("none", None), *(("norm", each) for each in THRESHOLDS))
        for rate, size in product(RATES, (4, 8))
    ]
    assert Counter(asked) == Counter(truth) == Counter(grid(spec))
    assert asked != truth
    assert asked == searched(spec, spec.trials)
    assert asked != searched(grid_spec(seed=1), spec.trials)


def test_a_grid_of_twice_the_trials_runs_everything_twice() -> None:
    size = grid_spec().trials
    asked = searched(grid_spec(sampler="grid", trials=2 * size), 2 * size)
    assert set(Counter(asked).values()) == {2}


def test_candidates_are_at_the_values_and_each_is_there_once() -> None:
    spec = grid_spec()
    candidates = Candidates(spec)
    drawn = candidates.draw(candidates.everywhere, np.random.default_rng(0))
    found = [rounded(candidates.setting(drawn, place), spec.space) for place in range(len(drawn))]
    assert len(found) == len(set(found))
    assert set(found) == set(grid(spec))


def test_a_frontier_belongs_to_the_half_decades_that_have_values() -> None:
    space = SPACE | {"strategies": ["norm"], "thresholds": {"norm": {"values": [0.2, 0.25, 50]}}}
    everywhere = Candidates(parse_spec({"name": "s", "space": space})).everywhere
    assert sorted(everywhere.bins()) == [-1.0, 1.5]


@pytest.mark.parametrize(("given", "nearest"), [(0.05, 0.1), (0.011, 0.0123456), (99.0, 10.0), (0.1, 0.1)])
def test_a_setting_is_rounded_to_the_nearest_value(given: float, nearest: float) -> None:
    setting = Setting(cell="lstm", strategy="none", threshold=None, learning_rate=given)
    assert rounded(setting, spec_of("qmc").space).learning_rate == nearest
