from typing import Any

import numpy as np
import pytest
from scipy.stats import beta

from gradstudy.study.worth.preference import TIE, best_place, is_tested
from gradstudy.study.worth.risk import Chances
from gradstudy.study.worth.worth import Worth

SAFE, SAFER, UNSAFE = (1.0, 49.0), (0.2, 49.8), (10.0, 40.0)
"""Runs that diverged and runs that did not, as the parameters of a beta distribution."""


def worth_of(expected: list[float], chances: list[tuple[float, float]] | None = None, **given: Any) -> Worth:
    count = len(expected)
    lost, kept = np.array(chances or [SAFE] * count, float).T
    usual = {"sd": [0.02] * count, "distances": [-0.5] * count}
    arrays = {name: np.array(values, float) for name, values in (usual | given).items()}
    shares = np.array(expected, float)
    return Worth(expected=shares, share=shares, chances=Chances(lost, kept), **arrays)


def best_of(
    worth: Worth,
    pool: list[bool] | None = None,
    effort: list[float] | None = None,
    confirmed: list[bool] | None = None,
) -> int:
    count = len(worth.expected)
    given = [np.array(pool or [True] * count), np.array(confirmed or [False] * count)]
    return best_place(worth, *given, np.array(effort or [1.0] * count))


def test_the_three_kinds_of_settings_are_what_they_are_called() -> None:
    probable = [float(beta(*each).cdf(0.1)) for each in (SAFE, SAFER, UNSAFE)]
    assert worth_of([0.5] * 3, [SAFE, SAFER, UNSAFE]).safe == pytest.approx(probable)
    assert worth_of([0.5] * 3, [SAFE, SAFER, UNSAFE]).is_safe.tolist() == [True, True, False]
    assert probable[0] > 0.9
    assert probable[2] < 0.1


def test_the_lowest_expected_loss_wins_among_the_safe() -> None:
    assert best_of(worth_of([0.6, 0.4, 0.5])) == 1
    assert best_of(worth_of([0.6, 0.4, 0.5], [SAFER, SAFE, SAFER], distances=[-2, -0.1, -2]), effort=[0, 9, 0]) == 1


def test_an_unsafe_setting_does_not_win_by_a_better_loss_while_a_safe_one_is_there() -> None:
    worth = worth_of([0.1, 0.8, 0.7], [UNSAFE, SAFE, SAFE])
    assert best_of(worth) == 2
    assert best_of(worth, [True, True, False]) == 1
    assert best_of(worth, [True, False, False]) == 0


def test_a_setting_is_safe_from_a_probability_of_eighty_percent_on() -> None:
    kept = np.arange(1.0, 60.0)
    probable = beta(1.0, kept).cdf(0.1)
    first = float(kept[np.argmax(probable >= 0.8)])
    assert best_of(worth_of([0.1, 0.8], [(1.0, first), SAFE])) == 0
    assert best_of(worth_of([0.1, 0.8], [(1.0, first - 1), SAFE])) == 1


def test_where_none_is_safe_the_loss_counts_together_with_what_is_missing_to_safety() -> None:
    nearly, far_from = (2.0, 25.0), UNSAFE
    missing = 0.4 * (beta(*nearly).cdf(0.1) - beta(*far_from).cdf(0.1))
    assert missing > 0.05
    assert best_of(worth_of([0.5, 0.5 - missing + 0.02], [nearly, far_from])) == 0
    assert best_of(worth_of([0.5, 0.5 - missing - 0.02], [nearly, far_from])) == 1


def test_only_what_is_in_the_pool_wins() -> None:
    assert best_of(worth_of([0.3, 0.4, 0.5]), [False, True, True]) == 1
    assert best_of(worth_of([0.3, 0.301, 0.5], [SAFE, SAFER, SAFE]), [True, False, True]) == 0


def test_of_equals_a_confirmed_one_wins_whatever_its_risk() -> None:
    equals = worth_of([0.4, 0.4 + TIE / 2, 0.4], [SAFER, SAFE, SAFER])
    assert best_of(equals, confirmed=[False, True, False]) == 1
    assert best_of(worth_of([0.4, 0.4 + 2 * TIE]), confirmed=[False, True]) == 0


def test_of_equals_the_lower_risk_wins() -> None:
    worth = worth_of([0.5, 0.5 + 0.9 * TIE], [SAFE, SAFER], distances=[-2.0, -0.1])
    assert best_of(worth, effort=[0.0, 9.0]) == 1


def test_of_equals_with_one_risk_in_percent_the_wider_distance_to_the_frontier_wins() -> None:
    nearly = (1.1, 48.9)
    assert best_of(worth_of([0.5, 0.5 + 0.9 * TIE], [SAFE, nearly], distances=[-0.3, -0.9]), effort=[0.0, 9.0]) == 1


def test_of_equals_at_one_distance_in_tenths_of_a_decade_the_less_effort_wins() -> None:
    worth = worth_of([0.5, 0.5 + 0.9 * TIE], distances=[-0.54, -0.46])
    assert best_of(worth, effort=[2.0, 1.0]) == 1
    assert best_of(worth, effort=[1.0, 2.0]) == 0


def test_of_those_that_are_equal_in_everything_the_lower_loss_wins() -> None:
    assert best_of(worth_of([0.501, 0.5, 0.502])) == 1


def test_a_difference_that_is_known_is_no_tie() -> None:
    assert best_of(worth_of([0.5, 0.5 + 1.1 * TIE], [SAFE, SAFER])) == 0
    assert best_of(worth_of([0.5, 0.5 + 0.9 * TIE], [SAFE, SAFER], sd=[0.5 * TIE, 1.0])) == 0
    assert best_of(worth_of([0.5, 0.5 + 0.4 * TIE], [SAFE, SAFER], sd=[0.5 * TIE, 1.0])) == 1


def test_an_unsafe_setting_is_no_equal_of_a_safe_one() -> None:
    assert best_of(worth_of([0.5, 0.5], [SAFE, UNSAFE], distances=[-0.1, -2.0]), effort=[9.0, 0.0]) == 0


@pytest.mark.parametrize(
    ("fresh", "tested"),
    [
        ([0, 0, 0], [True, True, True]),
        ([0, 1, 2], [False, True, True]),
        ([2, 9, 10, 18, 17], [False, True, True, True, True]),
        ([4, 9, 5], [False, True, True]),
    ],
)
def test_a_setting_is_tested_with_half_of_the_fresh_runs_that_any_has(fresh: list[int], tested: list[bool]) -> None:
    assert is_tested(np.array(fresh)).tolist() == tested


def test_no_settings_are_no_tested_settings() -> None:
    assert is_tested(np.zeros(0, np.int64)).tolist() == []


def test_a_setting_that_fresh_runs_will_probably_show_to_be_safe_is_rated_by_its_loss_for_them() -> None:
    worth = worth_of([0.5, 0.5, 0.5], [SAFE, (0.1, 1.0), UNSAFE])
    assert worth.rating[1] > 0.5
    assert worth.rating_to_prove.tolist() == [0.5, 0.5, worth.rating[2]]
    assert worth.rating[2] > 0.5
