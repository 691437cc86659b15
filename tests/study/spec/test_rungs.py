from itertools import pairwise

import pytest

from gradstudy.study.errors import SpecError
from gradstudy.study.spec.rungs import BEYOND, LONGER, longest_paid, planned_rungs, rung_steps, wanted_rungs
from gradstudy.study.spec.study_spec import parse_spec


@pytest.mark.parametrize(
    ("short", "steps", "found"),
    [(200, 3200, [800, 3200]), (200, 400, [400]), (200, 20000, [1250, 5000, 20000]), (40, 400, [100, 400]),
     (200, 201, [201]), (200, 1599, [400, 1599])],
)  # fmt: skip
def test_each_rung_is_four_times_the_one_before_and_the_first_twice_the_study(
    short: int, steps: int, found: list[int]
) -> None:
    assert rung_steps(short, steps) == found


@pytest.mark.parametrize("short", [1, 10, 200, 333])
@pytest.mark.parametrize("trials", [4, 8, 23, 120, 288, 5000])
@pytest.mark.parametrize("times", [1.5, 2, 8, 16, 63.7, 1000])
def test_longer_runs_cost_at_most_twice_the_steps_of_the_trials_and_reach_the_horizon_where_half_pays_for_two_runs(
    short: int, trials: int, times: float
) -> None:
    horizon = round(times * short + 0.5)
    rungs = planned_rungs(short, trials, horizon)
    assert sum(rung.steps * rung.paid for rung in rungs) <= LONGER * short * trials
    assert all(rung.runs_of_each(rung.settings) >= 1 and rung.settings >= 2 for rung in rungs)
    assert rungs[-1].steps <= horizon
    if 2 * horizon <= LONGER * short * trials // 2:
        assert rungs[-1].steps == horizon
    for one, other in pairwise(rungs):
        assert other.steps == pytest.approx(4 * one.steps, abs=2)
        assert other.paid <= one.paid


def test_few_settings_have_the_runs_that_many_would_have_had() -> None:
    first, last = planned_rungs(200, 288, 3200)
    assert (first.steps, first.settings, first.runs_of_each(12)) == (800, 12, 6)
    assert (last.steps, last.settings, last.runs_of_each(4)) == (3200, 4, 4)
    assert (first.runs_of_each(6), first.runs_of_each(4), first.runs_of_each(1)) == (12, 18, 18)


def test_runs_that_somebody_asked_for_are_as_many_as_asked_for() -> None:
    rungs = wanted_rungs(20, 160, top=2, runs=3)
    assert [(rung.steps, rung.settings, rung.runs_of_each(rung.settings)) for rung in rungs] == [
        (40, 4, 3),
        (160, 4, 3),
    ]
    assert {rung.runs_of_each(1) for rung in rungs} == {3}


def spec(**given: object) -> int | None:
    return parse_spec({"name": "s", "task": "copy", **given}).horizon


def test_a_horizon_is_accepted_up_to_sixteen_times_the_longest_runs_that_are_paid() -> None:
    assert spec() is None
    furthest = BEYOND * longest_paid(20, 8)
    assert furthest == 16 * 156
    assert spec(steps=20, trials=8, horizon=furthest) == furthest
    with pytest.raises(SpecError) as caught:
        spec(steps=20, trials=8, horizon=furthest + 1)
    sentence = str(caught.value)
    assert "8 trials of 20 steps pay for runs of 156 steps, and so for a horizon of 2,496, but got 2,497" in sentence
    enough = int(sentence.rpartition("; ")[2].partition(" trials would do")[0])
    assert spec(steps=20, trials=enough, horizon=furthest + 1) == furthest + 1


def test_the_trials_that_are_named_are_a_multiple_of_the_seeds() -> None:
    with pytest.raises(SpecError, match=r"; (\d+) trials would do") as caught:
        spec(steps=20, trials=9, seeds=3, horizon=20_000)
    enough = int(str(caught.value).rpartition("; ")[2].partition(" ")[0])
    assert spec(steps=20, trials=enough, seeds=3, horizon=20_000) == 20_000


@pytest.mark.parametrize(
    ("given", "sentence"),
    [({"steps": 60, "horizon": 60}, "horizon must be above steps, which is 60, but got 60"),
     ({"steps": 60, "horizon": 4, "task": "sunspots"},
      "horizon must be above steps, which is 60, but got 4; 4 rows to forecast are --forecast 4"),
     ({"steps": 20, "trials": 1, "horizon": 40}, "horizon needs more trials than 1 to pay for any longer run; "),
     ({"horizon": 0}, "horizon should be greater than or equal to 1, but got 0"),
     ({"horizon": "far"}, "horizon should be a valid integer")],
)  # fmt: skip
def test_what_cannot_be_a_horizon_is_said_in_a_sentence(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec(**given)
    assert sentence in str(caught.value)
