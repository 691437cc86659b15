from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import beta

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.worth.observed import Observed, Settings
from gradstudy.study.worth.risk import Chances, Risk

SLOPE, RISE = 8.0, 3.5
PLAIN, CLIPPED = 0, 1
"""Strategies; only the second one has a threshold."""
TO_FRONTIER = -np.log(9) / SLOPE
"""Decades from the edge, where half of the runs diverge, to where a tenth of them does."""


def edge(strategy: int, threshold: float) -> float:
    """In decades of learning rate; it falls with the threshold."""
    return 0.6 if strategy == PLAIN else 0.1 - 0.4 * threshold


def settings_of(strategy: int, threshold: float, learning_rates: Floats) -> Settings:
    count = len(learning_rates)
    return Settings(np.tile([0, strategy], (count, 1)), np.full(count, threshold), np.asarray(learning_rates, float))


def observed_of(settings: Settings, margins: Floats) -> Observed:
    """One run of each setting."""
    count = len(settings)
    return Observed(
        settings=settings,
        setting=np.arange(count),
        diverged=margins > 0,
        margins=np.clip(margins, -10, 10),
        shares=np.where(margins > 0, 1.0, 0.5),
        fresh=np.zeros(count, bool),
    )


def simulated(runs: int, seed: int = 0) -> Observed:
    """Runs that diverge with probability expit(SLOPE * (decade - edge))."""
    random = np.random.default_rng(seed)
    strategy = random.integers(2, size=runs)
    thresholds = np.where(strategy == PLAIN, np.nan, random.uniform(-1.5, 0.0, runs))
    rates = random.uniform(-2, 2, runs)
    edges = np.array([edge(*each) for each in zip(strategy, thresholds, strict=True)])
    margins = RISE * (rates - edges + random.logistic(size=runs) / SLOPE)
    return observed_of(Settings(np.stack([np.zeros(runs, np.int64), strategy], 1), thresholds, rates), margins)


def with_fresh_runs(observed: Observed, place: int, margins: list[float]) -> Observed:
    """The same with further runs of one setting."""
    more = np.array(margins)
    return replace(
        observed,
        setting=np.append(observed.setting, np.full(len(more), place)),
        diverged=np.append(observed.diverged, more > 0),
        margins=np.append(observed.margins, more),
        shares=np.append(observed.shares, np.where(more > 0, 1.0, 0.5)),
        fresh=np.append(observed.fresh, np.ones(len(more), bool)),
    )


ASKED = [(PLAIN, np.nan), (CLIPPED, -1.0), (CLIPPED, -0.5), (CLIPPED, -0.25)]


def test_chances_are_those_of_a_beta_distribution() -> None:
    lost, kept = np.array([0.3, 1.0, 2.5, 40.0]), np.array([20.0, 1.0, 7.0, 3.0])
    chances, truth = Chances(lost, kept), beta(lost, kept)
    assert chances.mean == pytest.approx(truth.mean())
    assert chances.sd == pytest.approx(truth.std())
    for limit in (0.0, 0.05, 0.1, 0.5, 0.95, 1.0):
        assert chances.below(limit) == pytest.approx(truth.cdf(limit), abs=1e-12)


def test_fresh_runs_count_as_runs_of_a_beta_distribution() -> None:
    risk = Risk(simulated(200))
    settings = settings_of(CLIPPED, -0.5, np.array([-1.0, 0.0, 0.3, 1.0]))
    fresh, diverged = np.array([0, 20, 5, 3]), np.array([0, 1, 5, 0])
    before, after = risk.chances(settings), risk.chances(settings, fresh, diverged)
    assert after.lost == pytest.approx(before.lost + diverged)
    assert after.kept == pytest.approx(before.kept + fresh - diverged)
    assert (before.lost > 0).all()
    assert (before.kept > 0).all()
    assert after.mean[0] == before.mean[0]
    assert after.mean[2] > before.mean[2]
    assert after.mean[3] < before.mean[3]


def test_many_fresh_runs_outweigh_what_the_frontiers_say() -> None:
    risk = Risk(simulated(400))
    far_below = settings_of(PLAIN, np.nan, np.array([-1.5]))
    assert risk.chances(far_below).mean[0] < 0.02
    assert risk.chances(far_below, np.array([400]), np.array([200])).mean[0] == pytest.approx(0.45, abs=0.03)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("strategy", "threshold"), ASKED)
def test_the_predicted_risk_is_near_the_true_one_below_at_and_above_the_edge(
    seed: int, strategy: int, threshold: float
) -> None:
    risk = Risk(simulated(500, seed))
    away = np.array([-1.5, -0.75, TO_FRONTIER, 0.0, 0.75, 1.2])
    found = risk.chances(settings_of(strategy, threshold, edge(strategy, threshold) + away)).mean
    assert found[0] < 0.02
    wrong = np.abs(found - expit(SLOPE * away))
    assert wrong.max() < 0.17  # expit rises from 0.1 to 0.5 within 0.27 decades
    assert wrong[[1, 4, 5]].max() < 0.03


def test_the_predicted_risk_errs_to_neither_side() -> None:
    away = []
    for seed in range(12):
        risk = Risk(simulated(250, seed))
        for strategy, threshold in ASKED:
            settings = settings_of(strategy, threshold, edge(strategy, threshold) + np.array([TO_FRONTIER, 0.0]))
            away.append(risk.chances(settings).mean - [0.1, 0.5])
    assert np.mean(away, 0) == pytest.approx([0.0, 0.0], abs=0.06)


@pytest.mark.parametrize("runs", [20, 500])
@pytest.mark.parametrize(("strategy", "threshold"), ASKED)
def test_the_risk_rises_with_the_learning_rate(runs: int, strategy: int, threshold: float) -> None:
    rates = np.linspace(-2, 2, 81)
    chances = Risk(simulated(runs)).chances(settings_of(strategy, threshold, rates))
    assert (np.diff(chances.mean) > -1e-12).all()
    assert chances.mean[0] < 0.1
    assert chances.mean[-1] > 0.9


def test_where_little_is_known_of_the_frontier_the_risk_rises_gradually() -> None:
    risk = Risk(simulated(12, 1))
    rates = np.arange(-1.0, 1.1, 0.25)
    frontier = -risk.distances(settings_of(CLIPPED, -0.75, np.zeros(1)))
    rises = np.diff(risk.chances(settings_of(CLIPPED, -0.75, frontier + rates)).mean)
    assert rises.min() > 0.01
    assert rises.max() < 0.25


def test_few_runs_say_less_of_the_risk_than_many() -> None:
    asked = settings_of(CLIPPED, -0.5, np.array([edge(CLIPPED, -0.5) + TO_FRONTIER - 0.1]))
    few, some, many = (Risk(simulated(runs)).chances(asked).sd[0] for runs in (15, 60, 600))
    assert few > some > many


def test_distances_are_decades_from_where_a_tenth_of_the_runs_diverges() -> None:
    risk = Risk(simulated(1000))
    for strategy, threshold in ASKED:
        rates = edge(strategy, threshold) + TO_FRONTIER + np.array([-0.7, 0.0, 0.4])
        assert risk.distances(settings_of(strategy, threshold, rates)) == pytest.approx([-0.7, 0.0, 0.4], abs=0.12)


def test_distances_are_interpolated_between_the_middles_of_half_decades() -> None:
    risk = Risk(simulated(300))

    def frontier(threshold: float) -> float:
        return float(-risk.distances(settings_of(CLIPPED, threshold, np.zeros(1)))[0])

    first, second, third = (frontier(middle) for middle in (-1.25, -0.75, -0.25))
    assert first > second + 0.05
    assert second > third + 0.05
    assert frontier(-1.125) == pytest.approx(0.75 * first + 0.25 * second)
    assert frontier(-1.0) == pytest.approx(0.5 * (first + second))
    assert frontier(-0.35) == pytest.approx(0.2 * second + 0.8 * third)
    assert frontier(-1.49) == first  # beyond the outermost middles the nearest one counts
    assert frontier(-0.01) == third
    assert frontier(-1.0 - 1e-9) == pytest.approx(frontier(-1.0 + 1e-9))  # where one bin ends and the next begins


def test_a_bin_without_runs_can_be_asked_about_where_it_was_announced() -> None:
    observed = simulated(300)
    beyond = settings_of(CLIPPED, 0.75, np.array([0.0]))
    announced = Risk(observed, beyond)
    assert announced.distances(beyond)[0] == pytest.approx(-(edge(CLIPPED, 0.75) + TO_FRONTIER), abs=0.5)
    inside = settings_of(CLIPPED, -0.75, np.array([0.0]))
    assert announced.distances(inside) == pytest.approx(Risk(observed).distances(inside), abs=0.05)
    assert announced.chances(beyond).sd[0] > announced.chances(inside).sd[0]


def test_fresh_runs_do_not_move_the_frontiers() -> None:
    observed = simulated(120)
    far_below = int(np.argmin(observed.settings.learning_rates))
    changed = Risk(with_fresh_runs(observed, far_below, [5.0] * 30))
    risk = Risk(observed)
    assert (changed.crossings == risk.crossings).all()
    assert changed.lapse == risk.lapse
    assert (changed.chances(observed.settings).mean == risk.chances(observed.settings).mean).all()
    searched = replace(with_fresh_runs(observed, far_below, [5.0] * 30), fresh=np.zeros(150, bool))
    assert (Risk(searched).crossings != risk.crossings).any()


def test_the_lapse_rate_is_the_share_of_runs_that_diverge_far_below_their_frontier() -> None:
    at_the_edge = np.linspace(0.2, 1.0, 60)
    rates = np.concatenate([np.linspace(-1.9, -1.0, 100), at_the_edge])
    settings = settings_of(PLAIN, np.nan, rates)
    kept = observed_of(settings, np.concatenate([np.full(100, -1.0), RISE * (at_the_edge - 0.6)]))
    margins = kept.margins.copy()
    margins[5:100:10] = 2.0
    lapsing = observed_of(settings, margins)
    none, ten = Risk(kept), Risk(lapsing)
    assert none.lapse == pytest.approx(0.5 / 150)
    assert ten.lapse == pytest.approx(10.5 / 150)
    far = settings_of(PLAIN, np.nan, np.array([-1.5]))
    assert none.chances(far).mean[0] == pytest.approx(0.5 / 150, abs=0.003)
    assert ten.chances(far).mean[0] == pytest.approx(10.5 / 150, abs=0.02)


@pytest.mark.parametrize(("lost", "kept"), [(0.3, 1.2), (1.0, 9.0), (2.0, 6.0), (0.05, 30.0)])
def test_how_probably_further_runs_will_show_that_a_setting_is_safe(lost: float, kept: float) -> None:
    random = np.random.default_rng(0)
    true = random.beta(lost, kept, 20_000)
    diverged = random.binomial(18, true)
    shown = beta.cdf(0.1, lost + diverged, kept + 18 - diverged) >= 0.8
    found = Chances(np.array([lost]), np.array([kept])).shown_below(0.1, 0.8, 18)
    assert found[0] == pytest.approx(shown.mean(), abs=0.015)
