from collections import Counter
from typing import Any

import numpy as np
import pytest

from gradstudy.study.search.halving import FreshRun, finalists, next_fresh_run
from gradstudy.study.worth.observed import Settings
from gradstudy.study.worth.risk import Chances
from gradstudy.study.worth.worth import Worth

SAFE, UNSAFE = (0.5, 49.5), (15.0, 35.0)
"""Runs that diverged and runs that did not, as the parameters of a beta distribution."""


def worth_of(expected: Any, unsafe: tuple[int, ...] = (), sd: float = 0.02) -> Worth:
    shares = np.array(expected, float)
    each = [UNSAFE if place in unsafe else SAFE for place in range(len(shares))]
    lost, kept = np.array(each).T
    sds = np.full(len(shares), sd)
    return Worth(shares, sds, shares, Chances(lost, kept), np.full(len(shares), -0.5))


def apart(count: int) -> Settings:
    """Settings of one group, a fifth of a decade from each other."""
    return Settings(np.zeros((count, 2), np.int64), np.full(count, np.nan), -2 + 0.2 * np.arange(count))


def chosen_of(worth: Worth, settings: Settings, fresh: Any = None, runs: int = 32, shares: Any = None) -> list[int]:
    ended = worth.share if shares is None else np.array(shares, float)
    counts = np.zeros(len(settings), np.int64) if fresh is None else np.array(fresh)
    return finalists(worth, settings, ended, counts, runs).tolist()


def all_runs(worth: Worth, chosen: list[int], best: int, runs: int, steps: tuple[float, ...] = (0.5, 2.0)) -> list[Any]:
    """Every fresh run of a study, in which nothing that was found changes what is believed."""
    fresh, beside, made = np.zeros(len(worth.expected), np.int64), dict.fromkeys(steps, 0), []
    for left in range(runs, 0, -1):
        run = next_fresh_run(worth, np.array(chosen), best, fresh, beside, left)
        made.append(run)
        if run.step == 1:
            fresh[run.setting] += 1
        else:
            beside[run.step] += 1
    return made


LOSSES = [0.60, 0.40, 0.52, 0.41, 0.70, 0.44, 0.58, 0.47, 0.80, 0.49, 0.55]
EIGHT_BEST = [1, 3, 5, 7, 9, 2, 10, 6]


def test_the_best_settings_are_the_finalists() -> None:
    assert chosen_of(worth_of(LOSSES), apart(11)) == EIGHT_BEST


@pytest.mark.parametrize(
    ("runs", "wanted"), [(1, 1), (4, 1), (7, 1), (8, 2), (18, 4), (30, 7), (31, 7), (32, 8), (200, 8)]
)
def test_there_is_a_finalist_for_every_four_fresh_runs_and_no_more_than_eight(runs: int, wanted: int) -> None:
    assert chosen_of(worth_of(LOSSES), apart(11), runs=runs) == EIGHT_BEST[:wanted]


def test_fewer_settings_than_wanted_are_all_finalists() -> None:
    assert chosen_of(worth_of([0.5, 0.4]), apart(2)) == [1, 0]


def test_finalists_are_rated_by_their_runs_and_by_the_model_alike() -> None:
    worth = worth_of([0.50, 0.40, 0.45])
    assert chosen_of(worth, apart(3), shares=[0.30, 0.44, 0.45], runs=12) == [0, 1, 2]
    assert chosen_of(worth, apart(3), shares=[0.50, 0.44, 0.36], runs=12) == [2, 1, 0]


def test_a_setting_all_of_whose_runs_diverged_is_no_finalist() -> None:
    assert chosen_of(worth_of([0.1, 0.5, 0.6]), apart(3), shares=[np.nan, 0.5, 0.6]) == [1, 2]


def test_the_best_safe_settings_and_the_best_of_all_take_turns() -> None:
    worth = worth_of([0.1, 0.2, 0.3, 0.7, 0.8, 0.9], unsafe=(0, 1, 2))
    assert chosen_of(worth, apart(6), runs=16) == [3, 0, 4, 1]


def test_where_no_setting_is_safe_the_best_of_all_are_finalists() -> None:
    worth = worth_of(LOSSES, unsafe=tuple(range(11)))
    assert chosen_of(worth, apart(11), runs=16) == EIGHT_BEST[:4]


def test_once_the_safe_settings_have_had_their_turns_the_best_of_all_are_finalists() -> None:
    safe = 8  # the worst one
    worth = worth_of(LOSSES, unsafe=tuple(place for place in range(11) if place != safe))
    assert chosen_of(worth, apart(11), runs=16) == [safe, *EIGHT_BEST[:3]]


def test_of_settings_that_are_nearly_alike_only_the_best_is_a_finalist() -> None:
    rates, thresholds = np.array([0.0, 0.04, 0.06, 0.0, 0.0]), np.array([0.0, 0.04, 0.0, 0.06, 0.04])
    settings = Settings(np.zeros((5, 2), np.int64), thresholds, rates)
    assert chosen_of(worth_of([0.40, 0.41, 0.42, 0.43, 0.44]), settings) == [0, 2, 3]
    assert chosen_of(worth_of([0.45, 0.41, 0.42, 0.43, 0.44]), settings) == [1]


def test_settings_without_thresholds_are_alike_by_their_learning_rates() -> None:
    settings = Settings(np.zeros((3, 2), np.int64), np.full(3, np.nan), np.array([0.0, 0.04, 0.06]))
    assert chosen_of(worth_of([0.40, 0.41, 0.42]), settings) == [0, 2]


@pytest.mark.parametrize("column", [0, 1, 2])
def test_settings_of_two_groups_are_not_alike(column: int) -> None:
    factors = np.zeros((2, 3), np.int64)
    factors[1, column] = 1
    assert chosen_of(worth_of([0.4, 0.5]), Settings(factors, np.full(2, 0.0), np.zeros(2))) == [0, 1]


def test_a_finalist_that_has_fresh_runs_stays_one_whatever_is_found_of_it() -> None:
    fresh = np.zeros(11, np.int64)
    fresh[[8, 4]] = 1, 2  # the worst two
    chosen = chosen_of(worth_of(LOSSES), apart(11), fresh, runs=16)
    assert chosen == [4, 8, 1, 3]
    diverged = [np.nan if place == 8 else loss for place, loss in enumerate(LOSSES)]
    assert chosen_of(worth_of(LOSSES), apart(11), fresh, runs=16, shares=diverged) == chosen


def test_finalists_with_fresh_runs_are_kept_when_there_are_more_than_wanted() -> None:
    assert sorted(chosen_of(worth_of(LOSSES), apart(11), np.ones(11, np.int64), runs=16)) == list(range(11))


def test_a_setting_like_a_finalist_that_has_fresh_runs_is_no_finalist() -> None:
    settings = Settings(np.zeros((2, 2), np.int64), np.zeros(2), np.array([0.0, 0.03]))
    assert chosen_of(worth_of([0.5, 0.4]), settings, [1, 0]) == [0]


def test_every_finalist_first_gets_two_runs_in_turn() -> None:
    made = all_runs(worth_of(LOSSES), EIGHT_BEST, 1, 60)
    assert made[:16] == [FreshRun(place) for place in EIGHT_BEST * 2]


def test_then_come_the_three_rivals_then_the_best_one_then_half_and_twice_its_learning_rate() -> None:
    made = all_runs(worth_of(LOSSES), EIGHT_BEST, 1, 60)
    assert made[16:46] == [FreshRun(1), FreshRun(3), FreshRun(5)] * 10
    assert made[46:52] == [FreshRun(1)] * 6
    assert made[52:] == [FreshRun(1, 0.5), FreshRun(1, 2.0)] * 4
    assert sum(run == FreshRun(1) for run in made) == 18


def test_rivals_are_those_whose_lower_bound_is_lowest() -> None:
    worth = worth_of([0.40, 0.41, 0.42, 0.43, 0.60])
    worth.sd[4] = 0.25
    fresh = np.array([5, 5, 5, 5, 2])
    assert next_fresh_run(worth, np.arange(5), 0, fresh, {}, 60) == FreshRun(4)
    fresh[4] = 5
    assert next_fresh_run(worth, np.arange(5), 0, fresh, {}, 60) == FreshRun(4)
    fresh[4] = 6
    assert next_fresh_run(worth, np.arange(5), 0, fresh, {}, 60) == FreshRun(0)
    assert next_fresh_run(worth, np.arange(5), 0, np.array([6, 6, 0, 2, 6]), {}, 60) == FreshRun(2)
    assert next_fresh_run(worth, np.arange(5), 0, np.array([6, 5, 4, 2, 6]), {}, 60) == FreshRun(1)


@pytest.mark.parametrize("runs", range(30, 121, 6))
def test_the_best_one_has_eighteen_runs_before_a_budget_of_thirty_or_more_ends(runs: int) -> None:
    worth = worth_of(LOSSES)
    chosen = chosen_of(worth, apart(11), runs=runs)
    made = all_runs(worth, chosen, 1, runs)
    counts = Counter(run.setting for run in made if run.step == 1)
    assert counts[1] >= 18
    assert set(counts) == set(chosen)
    assert min(counts.values()) >= 2
    if runs >= 2 * len(chosen) + 16 + 8:
        assert Counter(run.step for run in made if run.step != 1) == {0.5: 4, 2.0: 4}


def test_a_smaller_budget_gives_the_best_one_all_but_the_first_two_of_the_others() -> None:
    worth = worth_of(LOSSES)
    chosen = chosen_of(worth, apart(11), runs=18)
    assert Counter(all_runs(worth, chosen, 1, 18)) == {
        FreshRun(1): 12, **{FreshRun(place): 2 for place in chosen if place != 1}
    }  # fmt: skip


def test_a_step_that_leaves_the_range_is_left_out() -> None:
    made = all_runs(worth_of(LOSSES), EIGHT_BEST, 1, 60, steps=(2.0,))
    assert made[-4:] == [FreshRun(1, 2.0)] * 4
    assert {run.step for run in made} == {1.0, 2.0}
    assert {run.step for run in all_runs(worth_of(LOSSES), EIGHT_BEST, 1, 60, steps=())} == {1.0}


def test_runs_that_are_there_at_a_step_already_are_not_made_again() -> None:
    worth, fresh = worth_of([0.4, 0.5]), np.array([18, 2])
    assert next_fresh_run(worth, np.arange(2), 0, fresh, {0.5: 4, 2.0: 1}, 3) == FreshRun(0, 2.0)
    assert next_fresh_run(worth, np.arange(2), 0, fresh, {0.5: 4, 2.0: 4}, 3) == FreshRun(1)


def test_with_a_new_best_one_the_runs_that_are_left_are_its() -> None:
    worth, fresh = worth_of([0.5, 0.4, 0.6]), np.array([14, 5, 2])
    assert next_fresh_run(worth, np.arange(3), 1, fresh, {0.5: 0, 2.0: 0}, 10) == FreshRun(1)
