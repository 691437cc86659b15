from typing import Any

import pytest
from simulated import frame_of, recommended, simulated_study, simulated_trials

from gradstudy.study.answer.follow_up import FollowUp, follow_up
from gradstudy.study.spec.study_spec import parse_spec


def after(trials: Any, **spec: Any) -> FollowUp | None:
    outcomes = trials["outcome"].value_counts().to_dict()
    return follow_up(simulated_study(**spec), outcomes, recommended(trials))


@pytest.mark.parametrize("runs", [3, 400])
def test_a_setting_without_fresh_runs_is_to_be_confirmed_however_many_runs_chose_it(runs: int) -> None:
    made = after(simulated_trials(runs, slope=12.0))
    assert made is not None
    assert (made.command, made.spec) == ("gradstudy confirm s", None)


def test_where_all_diverged_lower_learning_rates_are_next() -> None:
    made = after(frame_of([{"outcome": "diverged"}] * 3), space={"learning_rate": [0.1, 10]})
    assert made is not None
    assert made.spec is not None
    assert made.command == "gradstudy launch s-lower.toml"
    assert parse_spec(made.spec).space.learning_rate == pytest.approx((1e-4, 0.1))


def test_where_nothing_learned_more_steps_are_next() -> None:
    made = after(frame_of([{"outcome": "stalled"}, {"outcome": "diverged"}]), steps=50)
    assert made is not None
    assert made.spec is not None
    assert parse_spec(made.spec).steps == 150


def test_before_anything_ended_nothing_is_asked_for() -> None:
    assert after(frame_of([])) is None


def test_the_longest_name_has_a_follow_up_that_can_be_launched() -> None:
    made = after(frame_of([{"outcome": "diverged"}] * 3), name="n" * 100)
    assert made is not None
    assert made.spec is not None
    name = parse_spec(made.spec).name
    assert made.command == f"gradstudy launch {name}.toml"
    assert (len(name), name[-6:]) == (100, "-lower")
