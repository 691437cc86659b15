from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import optuna
import pytest
from scipy.stats import kstest, qmc

from gradstudy.models.strategies import SEARCHED_BY_DEFAULT, STRATEGIES
from gradstudy.study.search.from_spec import make_sampler
from gradstudy.study.search.points import SobolSampler
from gradstudy.study.search.space import Setting, suggest, threshold_parameter
from gradstudy.study.spec.study_spec import StudySpec, parse_spec

FOUR = ["none", "norm", "value", "autoclip"]


def spec_of(sampler: str, strategies: Iterable[str] = FOUR, **space: Any) -> StudySpec:
    return parse_spec({"name": "s", "seed": 5, "sampler": sampler, "space": {"strategies": list(strategies), **space}})


def ask(study: optuna.Study, spec: StudySpec, trials: int) -> list[Setting]:
    return [suggest(study.ask(), spec) for _ in range(trials)]


def study_of(spec: StudySpec, storage: Any = None, worker: int = 0) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="s", sampler=make_sampler(spec, worker), load_if_exists=True)


@pytest.mark.parametrize("sampler", ["qmc", "random", "tpe", "frontier"])
def test_a_strategy_has_its_own_threshold_in_its_own_range(sampler: str) -> None:
    spec = spec_of(sampler, STRATEGIES, thresholds={"norm": [3, 4]})
    study = study_of(spec)
    for setting in ask(study, spec, 60):
        bounds = spec.space.threshold_range(setting.strategy)
        assert (setting.threshold is None) == (bounds is None)
        if bounds and setting.threshold:
            assert bounds[0] <= setting.threshold <= bounds[1]
        assert 0.01 <= setting.learning_rate <= 100
    for trial in study.trials:
        strategy = trial.params["strategy"]
        searched = {"cell", "strategy", "learning_rate"}
        if STRATEGIES[strategy].unit:
            searched.add(threshold_parameter(strategy))
        assert set(trial.params) == searched
    assert study.trials[0].distributions["cell"].choices == ("lstm", "gru")


@pytest.mark.parametrize("trials", [8, 64])
def test_every_cell_and_strategy_gets_an_equal_share_of_sobol_points(trials: int) -> None:
    spec = spec_of("qmc")
    counts = Counter((setting.cell, setting.strategy) for setting in ask(study_of(spec), spec, trials))
    assert set(counts.values()) == {trials // 8}
    assert len(counts) == 8


def test_nine_strategies_get_the_same_share_but_for_two() -> None:
    spec = spec_of("qmc", SEARCHED_BY_DEFAULT)
    counts = Counter(setting.strategy for setting in ask(study_of(spec), spec, 256))
    assert len(counts) == 9
    assert max(abs(count - 256 / 9) for count in counts.values()) < 2


def test_every_part_of_every_axis_is_visited_once_and_settings_are_points_scaled() -> None:
    spec = spec_of("qmc", ["none", "norm"])
    points = np.array([SobolSampler(5).point(place) for place in range(32)])
    for axis in points.T:
        assert sorted(np.floor(axis * 32)) == list(range(32))
    assert qmc.discrepancy(points) < 0.5 * qmc.discrepancy(np.random.default_rng(0).random((32, 4)))
    for setting, (cell, strategy, learning_rate, threshold) in zip(ask(study_of(spec), spec, 32), points, strict=True):
        assert setting.cell == ("lstm" if cell < 0.5 else "gru")
        assert setting.strategy == ("none" if strategy < 0.5 else "norm")
        assert setting.learning_rate == pytest.approx(10 ** (4 * learning_rate - 2))
        if setting.threshold is not None:
            assert setting.threshold == pytest.approx(10 ** (3 * threshold - 2))


@pytest.mark.parametrize("sampler", ["qmc", "random"])
def test_the_setting_of_a_trial_depends_on_its_number_only(sampler: str) -> None:
    spec = spec_of(sampler)
    alone = ask(study_of(spec), spec, 12)
    storage = optuna.storages.InMemoryStorage()
    in_turn = [ask(study_of(spec, storage, worker), spec, 1)[0] for worker in range(12)]
    assert in_turn == alone
    assert len(set(alone)) == 12


@pytest.mark.parametrize("sampler", ["qmc", "random"])
def test_another_seed_gives_other_settings(sampler: str) -> None:
    spec = spec_of(sampler)
    other = spec.model_copy(update={"seed": 6})
    assert ask(study_of(spec), spec, 4) != ask(study_of(other), other, 4)


def test_workers_of_a_tpe_study_draw_different_settings() -> None:
    spec = spec_of("tpe")
    assert ask(study_of(spec, worker=1), spec, 4) != ask(study_of(spec, worker=2), spec, 4)


@pytest.mark.parametrize("sampler", ["qmc", "random"])
def test_learning_rates_and_thresholds_are_log_uniform(sampler: str) -> None:
    spec = spec_of(sampler, ["norm"])
    settings = ask(study_of(spec), spec, 128)
    learning_rates = (np.log10([setting.learning_rate for setting in settings]) + 2) / 4
    thresholds = (np.log10([setting.threshold or 0 for setting in settings]) + 2) / 3
    assert kstest(learning_rates, "uniform").pvalue > 0.01
    assert kstest(thresholds, "uniform").pvalue > 0.01


def test_only_what_a_study_searches_can_be_sampled() -> None:
    study = study_of(spec_of("qmc"))
    with pytest.raises(ValueError, match="categorical and log-uniform parameters only"):
        study.ask().suggest_float("dropout", 0, 1)
