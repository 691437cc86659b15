from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from scipy.special import expit
from threadpoolctl import threadpool_limits

from gradstudy.study.search.candidates import Candidates
from gradstudy.study.search.from_spec import make_sampler
from gradstudy.study.search.mirrored_tpe import MirroredTpe
from gradstudy.study.search.observed_trials import UNTRAINED, read_observed
from gradstudy.study.search.phases import Phases
from gradstudy.study.search.points import ORDINAL
from gradstudy.study.search.space import CONSTRAINT, Setting, parameters, suggest
from gradstudy.study.spec.study_spec import StudySpec, parse_spec

TRIALS = 60
PHASES = Phases.of(TRIALS)
INITIAL_LOSS = 4.0
SLOPE, RISE = 8.0, 3.5
DEPTHS = {"none": 0.45, "norm": 0.7, "value": 0.55}
Told = Callable[[optuna.Study, optuna.Trial, Setting, np.random.Generator], None]


@pytest.fixture(autouse=True, scope="module")
def blas_on_one_thread() -> Iterator[None]:
    """Small matrices take many times longer on two threads where other processes are busy."""
    with threadpool_limits(1, user_api="blas"):
        yield


def spec_of(trials: int = TRIALS, seed: int = 0, seeds: int = 1, **space: Any) -> StudySpec:
    usual = {"strategies": list(DEPTHS), "learning_rate": [1e-2, 1e2], "thresholds": {"norm": [0.01, 10]}}
    return parse_spec(
        {"name": "s", "task": "copy", "sampler": "auto", "trials": trials, "seed": seed, "seeds": seeds,
         "space": usual | space}
    )  # fmt: skip


def above_edge(setting: Setting) -> float:
    """Decades of learning rate above the edge, which falls with the threshold."""
    edge = {"lstm": 0.5, "gru": 0.2}[setting.cell]
    middle = {"norm": -0.5, "value": -2.0}.get(setting.strategy, 0.0)
    tilt = 0.0 if setting.threshold is None else 0.3 * (np.log10(setting.threshold) - middle)
    return float(np.log10(setting.learning_rate) - edge + tilt)


def risk(setting: Setting) -> float:
    return float(expit(SLOPE * above_edge(setting)))


def share(setting: Setting) -> float:
    """What a run that does not diverge ends at, as a share of the untrained loss."""
    depth = DEPTHS[setting.strategy] - (0.06 if setting.cell == "lstm" else 0.0)
    depth -= 0.2 if dict(setting.factors).get("batch_size") == 8 else 0.0
    return float(1 - depth * np.exp(-0.5 * ((above_edge(setting) + 0.5) / 0.6) ** 2))


def worth(setting: Setting) -> float:
    return risk(setting) + (1 - risk(setting)) * share(setting)


def tell(study: optuna.Study, trial: optuna.Trial, setting: Setting, random: np.random.Generator) -> None:
    margin = RISE * (above_edge(setting) + random.logistic() / SLOPE)
    loss = 1.0 if margin > 0 else min(share(setting) + random.normal(0, 0.02), 1.0)
    told(study, trial, margin, INITIAL_LOSS * loss)


def told(study: optuna.Study, trial: optuna.Trial, margin: float, loss: float) -> None:
    trial.set_user_attr(UNTRAINED, INITIAL_LOSS)
    trial.set_constraint(CONSTRAINT, float(np.clip(margin, -10, 10)))
    study.tell(trial, float(loss))


def diverge(study: optuna.Study, trial: optuna.Trial, setting: Setting, random: np.random.Generator) -> None:
    told(study, trial, 3.0, INITIAL_LOSS)


def settings_of(spec: StudySpec, at_once: int, ended: Told = tell, samplers: Iterator[Any] | None = None) -> list[Any]:
    """The settings of a study in the order in which they were asked for; any of those that run ends next."""
    random = np.random.default_rng([spec.seed, 1])
    study = optuna.create_study(sampler=make_sampler(spec))
    settings: list[Setting] = []
    running: list[tuple[optuna.Trial, Setting]] = []
    while len(settings) < spec.trials or running:
        while len(running) < at_once and len(settings) < spec.trials:
            study.sampler = next(samplers) if samplers else study.sampler
            trial = study.ask()
            settings.append(suggest(trial, spec))
            running.append((trial, settings[-1]))
        ended(study, *running.pop(int(random.integers(len(running)))), random)
    return settings


def without_results(spec: StudySpec, count: int, sampler: Any = None) -> list[Setting]:
    """The settings of trials that all run at once."""
    study = optuna.create_study(sampler=sampler or make_sampler(spec))
    return [suggest(study.ask(), spec) for _ in range(count)]


def best_anywhere(spec: StudySpec, of_a_hundred: int) -> float:
    """What so many of a hundred settings at random are better than."""
    settings = without_results(spec, 600, optuna.samplers.RandomSampler(seed=0))
    return float(np.percentile([worth(setting) for setting in settings], of_a_hundred))


@pytest.fixture(scope="module", params=[1, 8], ids=["one_after_the_other", "eight_at_once"])
def asked(request: pytest.FixtureRequest) -> list[Setting]:
    return settings_of(spec_of(), request.param)


def test_every_setting_of_the_search_is_a_new_one_also_with_eight_running_at_once(asked: list[Setting]) -> None:
    assert len(asked) == TRIALS
    searched = asked[: PHASES.searched]
    assert len(searched) == 42
    assert len(set(searched)) >= 41  # one of three digits is met twice in some studies
    assert len(set(searched[: PHASES.spread])) == PHASES.spread


def test_the_study_ends_with_repeats_of_settings_that_were_chosen(asked: list[Setting]) -> None:
    searched, fresh = asked[: PHASES.searched], asked[PHASES.searched :]
    assert set(fresh) <= set(searched)  # with exactly equal numbers
    counts = Counter(fresh)
    assert len(counts) == (TRIALS - PHASES.searched) // 4
    begun = Counter(asked)
    assert all(begun[setting] > 2 for setting in counts)
    assert max(counts.values()) >= 8


def test_the_setting_that_is_repeated_most_is_safe_and_among_the_truly_good_ones() -> None:
    studies = [settings_of(spec_of(seed=seed), 8) for seed in range(3)]
    best = [Counter(asked).most_common(1)[0][0] for asked in studies]
    assert np.median([worth(setting) for setting in best]) < best_anywhere(spec_of(), 5)
    assert np.median([risk(setting) for setting in best]) < 0.1


def test_the_search_asks_for_better_settings_than_the_spread_ones(asked: list[Setting]) -> None:
    worths = np.array([worth(setting) for setting in asked])
    assert np.median(worths[PHASES.spread : PHASES.searched]) < np.median(worths[: PHASES.spread]) - 0.05


def test_numbers_lie_in_their_ranges_and_have_three_digits(asked: list[Setting]) -> None:
    spec = spec_of()
    for setting in asked:
        bounds = spec.space.threshold_range(setting.strategy)
        assert (setting.threshold is None) == (bounds is None)
        assert 1e-2 <= setting.learning_rate <= 1e2
        assert setting.learning_rate == float(f"{setting.learning_rate:.3g}")
        if bounds is not None and setting.threshold is not None:
            assert bounds[0] <= setting.threshold <= bounds[1]
            assert setting.threshold == float(f"{setting.threshold:.3g}")


def test_every_cell_and_strategy_is_searched(asked: list[Setting]) -> None:
    groups = Counter((setting.cell, setting.strategy) for setting in asked[: PHASES.searched])
    assert len(groups) == 6


def test_new_samplers_in_the_middle_go_on_in_the_same_phase() -> None:
    """As after a worker was killed: each time with another number."""
    spec = spec_of()

    def renewed() -> Iterator[Any]:
        sampler = make_sampler(spec)
        for place in range(TRIALS):
            if place in (4, 17, 30, 43, 50):
                sampler = make_sampler(spec, worker=place)
            yield sampler

    asked = settings_of(spec, 4, samplers=renewed())
    assert asked[: PHASES.spread] == without_results(spec, PHASES.spread)
    assert len(set(asked[: PHASES.searched])) >= PHASES.searched - 1
    fresh = Counter(asked[PHASES.searched :])
    assert set(fresh) <= set(asked[: PHASES.searched])
    best, runs = fresh.most_common(1)[0]
    assert runs >= 8
    assert worth(best) < best_anywhere(spec, 15)


def test_two_workers_that_take_turns_search_different_settings_and_repeat_the_same_ones() -> None:
    spec = spec_of()
    workers = [make_sampler(spec, worker) for worker in range(2)]
    asked = settings_of(spec, 6, samplers=(workers[place % 2] for place in range(TRIALS)))
    assert len(set(asked[: PHASES.searched])) >= PHASES.searched - 1
    assert set(asked[PHASES.searched :]) <= set(asked[: PHASES.searched])
    assert set(asked[PHASES.searched :: 2]) & set(asked[PHASES.searched + 1 :: 2])


def test_a_factor_is_a_part_of_every_setting_and_its_better_value_wins() -> None:
    spec = spec_of(cells=["gru"], factors={"batch_size": [8, 16]})
    asked = settings_of(spec, 8)
    values = Counter(dict(setting.factors)["batch_size"] for setting in asked[: PHASES.searched])
    assert set(values) == {8, 16}
    assert min(values.values()) > 4
    fresh = Counter(asked[PHASES.searched :])
    assert set(fresh) <= set(asked[: PHASES.searched])
    best, runs = fresh.most_common(1)[0]
    assert best.factors == (("batch_size", 16),)
    assert runs >= 8
    assert worth(best) < best_anywhere(spec, 15)


def test_where_every_run_diverges_the_study_asks_all_its_settings() -> None:
    asked = settings_of(spec_of(40), 8, diverge)
    assert len(set(asked)) == 40


@pytest.mark.parametrize("trials", [1, 2, 5, 12])
@pytest.mark.parametrize("at_once", [1, 8])
def test_a_tiny_study_asks_all_its_settings(trials: int, at_once: int) -> None:
    asked = settings_of(spec_of(trials), at_once)
    assert len(asked) == trials
    assert len(set(asked[: Phases.of(trials).searched])) == Phases.of(trials).searched


def test_half_and_twice_the_best_learning_rate_are_run_where_the_budget_allows_it() -> None:
    spec = spec_of(160)
    study = optuna.create_study(sampler=make_sampler(spec))

    def run() -> Setting:
        trial = study.ask()
        setting = suggest(trial, spec)
        margin = RISE * above_edge(setting)
        told(study, trial, margin, INITIAL_LOSS if margin > 0 else INITIAL_LOSS * share(setting))
        return setting

    thresholds = {"none": None, "norm": 1.0, "value": 0.01}
    groups = [(cell, strategy) for cell in spec.space.cells for strategy in thresholds]
    for decade in np.linspace(-2, 2, 20):
        for cell, strategy in groups:
            rate = float(f"{10**decade:.3g}")
            setting = Setting(cell=cell, strategy=strategy, threshold=thresholds[strategy], learning_rate=rate)
            study.enqueue_trial(parameters(setting, spec.space))
            assert run() == setting
    best = min((suggest(optuna.trial.FixedTrial(trial.params), spec) for trial in study.trials), key=worth)
    fresh = Counter(run() for _ in range(40))
    assert fresh[best] == 18
    half, twice = (replace(best, learning_rate=float(f"{best.learning_rate * step:.3g}")) for step in (0.5, 2))
    assert fresh[half] == fresh[twice] == 4
    assert len(fresh) == 8 + 2
    assert min(fresh.values()) == 2


def test_more_trials_than_the_budget_has_are_fresh_runs_too() -> None:
    spec = spec_of(20)
    study = optuna.create_study(sampler=make_sampler(spec))
    random, settings = np.random.default_rng(0), []
    for _ in range(25):
        trial = study.ask()
        settings.append(suggest(trial, spec))
        tell(study, trial, settings[-1], random)
    assert set(settings[20:]) <= set(settings[:20])


def test_the_place_of_a_setting_counts_and_not_the_number_of_its_trial() -> None:
    spec = spec_of(40)
    study = optuna.create_study(sampler=make_sampler(spec))
    random = np.random.default_rng(0)
    for _ in range(50):  # such as trials that were lost
        study.tell(study.ask(), state=TrialState.FAIL)
    spread = []
    for place in range(Phases.of(40).spread):
        study.add_trial(optuna.trial.create_trial(state=TrialState.WAITING, system_attrs={ORDINAL: place}))
        trial = study.ask()
        spread.append(suggest(trial, spec))
        tell(study, trial, spread[-1], random)
    assert spread == without_results(spec, len(spread))


PLAIN = spec_of(cells=["lstm"], strategies=["none"], thresholds={})


def trial_of(study: optuna.Study, rate: float) -> optuna.Trial:
    study.enqueue_trial({"cell": "lstm", "strategy": "none", "learning_rate": rate})
    trial = study.ask()
    suggest(trial, PLAIN)
    return trial


def ended_at(rates: Any, best: float, margins: Any = None) -> list[FrozenTrial]:
    """Trials whose loss is the lower the nearer their learning rate is to the best one, in decades."""
    study = optuna.create_study()
    for place, decade in enumerate(rates):
        trial = trial_of(study, 10**decade)
        trial.set_constraint(CONSTRAINT, -1.0 if margins is None else float(margins[place]))
        study.tell(trial, abs(decade - best))
    return study.get_trials()


def decades_asked(tpe: MirroredTpe, trials: list[FrozenTrial], count: int = 15) -> Any:
    return np.log10([tpe.ask(trials).learning_rate for _ in range(count)])


EVEN = np.linspace(-1.95, 1.95, 40)


def test_tpe_asks_where_finished_trials_were_good() -> None:
    for best in (-1.0, 0.8):
        away = decades_asked(MirroredTpe(PLAIN, 0), ended_at(EVEN, best)) - best
        assert np.median(np.abs(away)) < 0.3  # a decade where learning rates are spread over four


def test_tpe_asks_where_trials_did_not_diverge_whatever_their_loss() -> None:
    margins = np.where(EVEN > 0, 1.0, -1.0)
    decades = decades_asked(MirroredTpe(PLAIN, 0), ended_at(EVEN, 1.0, margins))
    assert np.mean(decades < 0.1) > 0.8


def test_tpe_learns_of_a_trial_that_ran_once_it_has_ended() -> None:
    study = optuna.create_study()
    running = [trial_of(study, 10**decade) for decade in EVEN]
    tpe = MirroredTpe(PLAIN, 0)
    before = decades_asked(tpe, study.get_trials())
    for trial, decade in zip(running, EVEN, strict=True):
        told(study, trial, -1.0, abs(decade + 1))
    after = decades_asked(tpe, study.get_trials())
    assert np.median(np.abs(after + 1)) < 0.3
    assert np.median(np.abs(before + 1)) > 0.5


def test_tpe_keeps_away_from_where_trials_are_running() -> None:
    study = optuna.create_study()
    for trial in ended_at(EVEN, 0.0):
        study.add_trial(trial)
    free = decades_asked(MirroredTpe(PLAIN, 0), study.get_trials(), 40)
    for decade in np.linspace(-0.3, 0.3, 60):
        trial_of(study, 10**decade)
    kept_away = decades_asked(MirroredTpe(PLAIN, 0), study.get_trials(), 40)
    assert np.mean(np.abs(kept_away) < 0.3) < np.mean(np.abs(free) < 0.3) - 0.2


def test_a_trial_that_was_running_and_failed_keeps_nobody_away() -> None:
    """Such as one of a worker that was killed."""
    spec = spec_of(400, cells=["lstm"], strategies=["none"], thresholds={})
    study = optuna.create_study(sampler=make_sampler(spec))
    for trial in ended_at(np.tile(EVEN, 2), 0.0):
        study.add_trial(trial)
    lost = [trial_of(study, 10**decade) for decade in np.linspace(-0.3, 0.3, 30)]
    decades = []
    for _ in range(24):
        trial = study.ask()
        decades.append(np.log10(suggest(trial, spec).learning_rate))
        study.tell(trial, state=TrialState.FAIL)
        while lost:
            study.tell(lost.pop(), state=TrialState.FAIL)
    assert np.mean(np.abs(decades[-12:]) < 0.3) > 0.5


@pytest.mark.parametrize("state", [TrialState.PRUNED, TrialState.FAIL])
def test_tpe_learns_nothing_from_trials_that_were_pruned_or_failed(state: TrialState) -> None:
    study = optuna.create_study()
    for trial in ended_at(EVEN, -1.0):
        study.add_trial(trial)
    without = decades_asked(MirroredTpe(PLAIN, 0), study.get_trials())
    for decade in np.linspace(0.5, 1.5, 30):
        trial = trial_of(study, 10**decade)
        trial.report(-9.0, step=1)
        study.tell(trial, state=state)
    assert decades_asked(MirroredTpe(PLAIN, 0), study.get_trials()).tolist() == without.tolist()


def test_tpe_asks_nothing_of_the_study_and_writes_nothing_into_its_trials() -> None:
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="s", storage=storage)
    for trial in ended_at(EVEN, 0.0):
        study.add_trial(trial)
    trial_of(study, 1.0)
    study.tell(trial_of(study, 2.0), state=TrialState.PRUNED)
    trials = study.get_trials(deepcopy=False)
    before = deepcopy(trials)
    optuna.delete_study(study_name="s", storage=storage)
    with pytest.raises(KeyError):
        study.get_trials()
    asked = decades_asked(MirroredTpe(PLAIN, 0), trials)
    assert len(set(asked)) > 10
    assert trials == before


def test_tpe_asks_each_strategy_for_its_own_threshold() -> None:
    spec = spec_of()
    tpe = MirroredTpe(spec, 0)
    for setting in (tpe.ask([]) for _ in range(40)):
        bounds = spec.space.threshold_range(setting.strategy)
        assert (setting.threshold is None) == (bounds is None)
        if bounds is not None and setting.threshold is not None:
            assert bounds[0] <= setting.threshold <= bounds[1]


@pytest.mark.parametrize("seeds", [1, 3])
def test_runs_of_a_setting_beyond_its_seeds_are_fresh(seeds: int) -> None:
    spec = spec_of(TRIALS, seeds=seeds, cells=["lstm"], strategies=["none"], thresholds={})
    study = optuna.create_study()
    for rate, margin in [(1.0, -1.0), (2.0, 2.0), (1.0, -1.0), (1.0, -1.0), (1.0, 3.0)]:
        told(study, trial_of(study, rate), margin, 2.0)
    trial_of(study, 1.0)  # which runs
    study.tell(trial_of(study, 2.0), state=TrialState.FAIL)
    ended = study.get_trials(states=(TrialState.COMPLETE, TrialState.RUNNING))
    seen = read_observed(ended, spec)
    assert [setting.learning_rate for setting in seen.settings] == [1.0, 2.0]
    assert seen.begun.tolist() == [5, 1]
    assert seen.under_way.tolist() == [1, 0]
    assert seen.fresh.tolist() == [5 - seeds, 0]
    assert seen.observed.fresh.tolist() == {
        1: [False, False, True, True, True], 3: [False, False, False, False, True]
    }[seeds]  # fmt: skip
    assert seen.observed.diverged.tolist() == [False, True, False, False, True]
    assert seen.observed.shares.tolist() == [0.5, 1.0, 0.5, 0.5, 1.0]
    assert seen.begun_of(seen.settings[0]) == 5
    assert seen.begun_of(Setting(cell="lstm", strategy="none", threshold=None, learning_rate=9.0)) == 0


def test_candidates_lie_in_the_space_and_there_are_more_around_the_best_ones() -> None:
    spec = spec_of(factors={"batch_size": [8, 16]})
    candidates = Candidates(spec)
    best = candidates.everywhere.take([3])
    drawn = candidates.draw(best, np.random.default_rng(0))
    settings = [candidates.setting(drawn, place) for place in range(len(drawn))]
    for setting in settings:
        bounds = spec.space.threshold_range(setting.strategy)
        assert 1e-2 <= setting.learning_rate <= 1e2
        assert (setting.threshold is None) == (bounds is None)
        assert bounds is None or (setting.threshold is not None and bounds[0] <= setting.threshold <= bounds[1])
    groups = Counter((setting.cell, setting.strategy, setting.factors) for setting in settings)
    assert len(groups) == 2 * 3 * 2
    assert max(groups.values()) > min(groups.values()) + 20


def test_there_is_one_candidate_of_each_frontier() -> None:
    everywhere = Candidates(spec_of()).everywhere  # norm has six half-decades, value eight
    assert len(everywhere) == 2 * (1 + 6 + 8)
    keys = zip(everywhere.factors.tolist(), np.nan_to_num(everywhere.bins(), nan=99).tolist(), strict=True)
    assert len(set(map(str, keys))) == len(everywhere)
