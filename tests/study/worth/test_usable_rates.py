from collections.abc import Iterator

import numpy as np
import pytest
from scipy.special import expit
from threadpoolctl import threadpool_limits

from gradstudy.study.frontier.likelihood import Floats
from gradstudy.study.worth.observed import Observed, Settings
from gradstudy.study.worth.risk import Risk
from gradstudy.study.worth.usable_rates import UsableRates, usable_rates
from gradstudy.study.worth.worth import WorthModel

SLOPE, RISE = 8.0, 3.5
TRIED = (-2.5, 1.5)
STEP = 0.05
"""Decades between the learning rates that are compared."""
VALLEYS = [(0.6, -0.8), (0.9, -0.5), (0.5, 0.0), (0.8, 0.3)]
"""How wide each is and where its bottom is, in decades; half of the runs diverge at EDGE."""
EDGE = 0.5


@pytest.fixture(autouse=True, scope="module")
def blas_on_one_thread() -> Iterator[None]:
    """Small matrices take many times longer on two threads where other processes are busy."""
    with threadpool_limits(1, user_api="blas"):
        yield


def valley(decades: Floats, width: float, bottom: float) -> Floats:
    return np.asarray(1 - 0.6 * np.exp(-0.5 * ((decades - bottom) / width) ** 2))


def true_range(width: float, bottom: float) -> tuple[float, float]:
    """Where J is within 0.02 of the best one, of those at which at most a tenth of the runs diverges."""
    decades = np.linspace(*TRIED, 40001)
    lost = expit(SLOPE * (decades - EDGE))
    worth = np.where(lost <= 0.1, lost + (1 - lost) * valley(decades, width, bottom), np.inf)
    good = decades[worth <= worth.min() + 0.02]
    return float(good[0]), float(good[-1])


def model_of(width: float, bottom: float, runs: int, seed: int, edge: float = EDGE) -> WorthModel:
    random = np.random.default_rng(seed)
    rates = random.uniform(*TRIED, runs)
    margins = RISE * (rates - edge + random.logistic(size=runs) / SLOPE)
    ended = np.minimum(valley(rates, width, bottom) + random.normal(0, 0.01, runs), 1.0)
    observed = Observed(
        settings=Settings(np.zeros((runs, 2), np.int64), np.full(runs, np.nan), rates),
        setting=np.arange(runs),
        diverged=margins > 0,
        margins=np.clip(margins, -10, 10),
        shares=np.where(margins > 0, 1.0, ended),
        fresh=np.zeros(runs, bool),
    )
    return WorthModel(observed, Risk(observed))


def found_in(model: WorthModel, tried: tuple[float, float] = TRIED, asked: int = 0) -> UsableRates:
    return usable_rates(model, model.observed.settings.take([asked]), tried)


@pytest.mark.parametrize(("width", "bottom"), VALLEYS)
def test_the_range_of_a_smooth_valley_is_near_the_true_one(width: float, bottom: float) -> None:
    low, high = true_range(width, bottom)
    for seed in range(3):
        found = found_in(model_of(width, bottom, 90, seed))
        assert found.low == pytest.approx(low, abs=0.13)
        assert found.high == pytest.approx(high, abs=0.13)
        assert found.width == pytest.approx(high - low, abs=0.2)
        assert found.width_low <= found.width <= found.width_high
        assert (found.is_open_below, found.is_open_above) == (False, False)


def test_nineteen_of_twenty_intervals_hold_the_true_width() -> None:
    held = []
    for width, bottom in VALLEYS:
        low, high = true_range(width, bottom)
        for seed in range(8):
            found = found_in(model_of(width, bottom, 70, seed))
            held.append(found.width_low - STEP / 2 <= high - low <= found.width_high + STEP / 2)
    assert np.mean(held) >= 0.9


def test_a_wide_valley_has_more_usable_rates_than_a_narrow_one_for_certain() -> None:
    narrow, wide = found_in(model_of(0.3, -0.8, 90, 0)), found_in(model_of(1.2, -0.8, 90, 0))
    assert narrow.width_high < wide.width_low


def test_few_runs_leave_more_widths_open_than_many() -> None:
    few, many = found_in(model_of(0.9, -0.5, 12, 1)), found_in(model_of(0.9, -0.5, 90, 1))
    assert few.width_high - few.width_low > 2 * (many.width_high - many.width_low)


def test_the_learning_rate_of_the_setting_does_not_count() -> None:
    model = model_of(0.6, -0.8, 80, 0)
    assert found_in(model, asked=0) == found_in(model, asked=5)


def test_no_learning_rate_beyond_those_tried_is_usable() -> None:
    model = model_of(0.9, -0.5, 90, 0)
    low, high = true_range(0.9, -0.5)
    found = found_in(model, (-0.55, 1.5))
    assert low < found.low == -0.55
    assert found.high == pytest.approx(high, abs=0.13)
    assert found.width_high <= 1.5 + 0.55
    assert (found.is_open_below, found.is_open_above) == (True, False)
    cut_above = found_in(model, (-2.5, -0.55))
    assert (cut_above.is_open_below, cut_above.is_open_above) == (False, True)


def test_where_the_valley_lies_beyond_the_frontier_the_rates_below_the_frontier_are_usable() -> None:
    frontier = -0.5 - np.log(9) / SLOPE
    found = found_in(model_of(0.8, 0.5, 120, 0, edge=-0.5))
    assert found.high == pytest.approx(frontier, abs=0.15)
    assert found.low < found.high


def test_where_no_rate_is_safe_only_the_safest_ones_are_usable() -> None:
    model = model_of(0.8, 0.0, 90, 0, edge=0.0)
    found = found_in(model, (0.1, 1.5))
    assert found.low == pytest.approx(0.1)
    assert found.high < 0.2
