import numpy as np
import pytest

from gradstudy.study.literature.power import smallest_difference, smallest_margin, smallest_share
from gradstudy.study.statistics.rates import rate_difference

DRAWS = 4000


def shown(first: int, second: int, rates: tuple[float, float], inside: tuple[float, float]) -> float:
    """How often the interval of the difference of two drawn rates lies within bounds."""
    random = np.random.default_rng(0)
    drawn = zip(random.binomial(first, rates[0], DRAWS), random.binomial(second, rates[1], DRAWS), strict=True)
    intervals = [rate_difference(of_second, second, of_first, first)[1:] for of_first, of_second in drawn]
    return float(np.mean([inside[0] < low and high < inside[1] for low, high in intervals]))


@pytest.mark.parametrize(("first", "second"), [(20, 20), (60, 100), (200, 50)])
def test_the_smallest_difference_is_shown_by_four_of_five_drawn_experiments(first: int, second: int) -> None:
    smallest = smallest_difference(first, second)
    above_zero = (0.0, np.inf)
    assert shown(first, second, (0.5 + smallest / 2, 0.5 - smallest / 2), above_zero) > 0.78
    smaller = smallest - 0.03
    assert shown(first, second, (0.5 + smaller / 2, 0.5 - smaller / 2), above_zero) < 0.78


def test_the_smallest_margin_holds_four_of_five_intervals_of_equal_rates() -> None:
    margin = smallest_margin(100, 80)
    assert shown(100, 80, (0.5, 0.5), (-margin, margin)) > 0.78
    assert shown(100, 80, (0.5, 0.5), (0.03 - margin, margin - 0.03)) < 0.78


def test_rates_near_their_ends_show_smaller_differences() -> None:
    smallest = smallest_difference(100, 100)
    assert shown(100, 100, (0.01 + smallest, 0.01), (0.0, np.inf)) > 0.9


def test_exceptions_of_the_smallest_share_show_in_four_of_five_experiments() -> None:
    assert 1 - (1 - smallest_share(30)) ** 30 == pytest.approx(0.8)


def test_no_number_of_runs_is_too_small_to_be_asked() -> None:
    assert smallest_difference(1, 1) == 1.0
    assert smallest_margin(1, 1) == 1.0
