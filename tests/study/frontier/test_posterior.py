import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit

from gradstudy.study.frontier.intervals import intervals
from gradstudy.study.frontier.places import Places, Runs
from gradstudy.study.frontier.posterior import FrontierModel

RISE = 3.5
NOWHERE = Runs.none()


def places(targets: int) -> Places:
    """One cell and strategy with so many half-decades of threshold."""
    return Places(np.zeros((targets, 2), np.int64), np.arange(targets)[:, None] / 2)


def simulated(edges: list[float], slope: float, runs: int, seed: int = 0) -> tuple[Runs, np.ndarray]:
    """Runs with a latent margin that is logistic: each diverges with probability expit(slope * (decade - edge))."""
    random = np.random.default_rng(seed)
    target = random.integers(len(edges), size=runs)
    decades = random.uniform(-2, 2, runs)
    margin = RISE * (decades - np.array(edges)[target] + random.logistic(size=runs) / slope)
    return Runs(target, decades), np.clip(margin, -10, 10)


def interval_of(where: Places, runs: Runs, margins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return intervals(FrontierModel(where, runs, margins, NOWHERE), runs, margins, 0.95)


def true_frontier(edge: float, slope: float) -> float:
    return float(brentq(lambda decade: expit(slope * (decade - edge)) - 0.1, -9, 9))


@pytest.mark.parametrize("slope", [6.0, 12.0, 30.0])
def test_the_crossing_is_where_ten_percent_diverge(slope: float) -> None:
    edges = [0.8, 0.4, -0.1, -0.6]
    model = FrontierModel(places(4), *simulated(edges, slope, 800), NOWHERE)
    truth = [true_frontier(edge, slope) for edge in edges]
    assert model.crossing == pytest.approx(truth, abs=0.12)


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    held = []
    for seed in range(40):
        edges = [0.5, 0.1, -0.3]
        low, high = interval_of(places(3), *simulated(edges, 8.0, 60, seed))
        truth = np.array([true_frontier(edge, 8.0) for edge in edges])
        held += ((low < truth) & (truth < high)).tolist()
    assert np.mean(held) > 0.9


def test_runs_narrow_what_is_known_also_of_a_threshold_beside_theirs_and_less_of_one_far_away() -> None:
    runs, margins = simulated([0.0], 8.0, 60)
    known = FrontierModel(places(8), runs, margins, NOWHERE).sd
    assert known[0] < 0.2
    assert (np.diff(known) > 0).all()


def test_without_margins_between_the_limits_only_the_sides_count() -> None:
    runs, margins = simulated([0.2], 10.0, 200)
    side = np.where(margins > 0, 10.0, -1.0)
    far = FrontierModel(places(1), runs, np.where(margins > 0, 3.0, -0.001), NOWHERE)
    assert FrontierModel(places(1), runs, side, NOWHERE).crossing == pytest.approx(far.crossing)


def test_runs_under_way_narrow_the_edge_and_do_not_move_it() -> None:
    runs, margins = simulated([0.0], 8.0, 20)
    alone = FrontierModel(places(1), runs, margins, NOWHERE)
    pending = Runs(np.zeros(6, np.int64), np.full(6, alone.crossing[0] + 0.1))
    waiting = FrontierModel(places(1), runs, margins, pending)
    assert waiting.crossing == pytest.approx(alone.crossing)
    assert waiting.sd[0] < 0.9 * alone.sd[0]


def test_a_run_near_the_edge_is_worth_more_than_one_far_away() -> None:
    model = FrontierModel(places(1), *simulated([0.0], 8.0, 40), NOWHERE)
    gains = model.gains(np.linspace(-2, 2, 81)[None], np.ones(1))[0]
    best = np.linspace(-2, 2, 81)[np.argmax(gains)]
    assert -0.5 < best < 0.5
    assert gains[[0, -1]].max() < 0.2 * gains.max()


def test_what_a_run_is_said_to_gain_is_what_variances_lose_when_it_is_under_way() -> None:
    runs, margins = simulated([0.4, 0.0, -0.4], 8.0, 60)
    before = FrontierModel(places(3), runs, margins, NOWHERE)
    decades = np.repeat([[-0.4, 0.0, 0.4]], 3, 0)
    for importance in np.eye(3):
        gains = before.gains(decades, importance)
        lost = np.zeros((3, 3))
        for target in range(3):
            for place in range(3):
                run = Runs(np.array([target]), decades[target, place : place + 1])
                after = FrontierModel(places(3), runs, margins, run)
                lost[target, place] = importance @ (before.sd**2 - after.sd**2)
        assert gains == pytest.approx(lost, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("diverged", [False, True])
def test_where_all_runs_end_alike_the_interval_has_the_end_that_they_show(diverged: bool) -> None:
    decades = np.linspace(-2, 2, 200)
    runs = Runs(np.zeros(200, np.int64), decades)
    low, high = interval_of(places(1), runs, np.full(200, 10.0 if diverged else -1.0))
    if diverged:
        assert high[0] < -1.5
    else:
        assert low[0] > 1.3  # of the 35 runs above none diverged: fewer than 10% do
        assert high[0] > 2.5


def test_a_curve_that_falls_is_unlikely_but_not_forbidden() -> None:
    decades = np.tile(np.linspace(-1, 1, 9), 40)
    kept_above = FrontierModel(
        places(1), Runs(np.zeros(len(decades), np.int64), decades), np.where(decades < 0, 3.0, -1.0), NOWHERE
    )
    rising = FrontierModel(
        places(1), Runs(np.zeros(len(decades), np.int64), decades), np.where(decades > 0, 3.0, -1.0), NOWHERE
    )
    assert kept_above.best.slope[0] < rising.best.slope[0] / 2
