from typing import Any

import pytest
from simulated import frame_of, simulated_study, simulated_trials

from gradstudy.study.follow_up import TRIALS, FollowUp, follow_up
from gradstudy.study.recommendation import recommend
from gradstudy.study.spec import parse_spec
from gradstudy.study.statistics import wilson_interval


def after(trials: Any, **spec: Any) -> FollowUp | None:
    outcomes = trials["outcome"].value_counts().to_dict()
    return follow_up(simulated_study(**spec), outcomes, recommend(trials))


def test_a_firm_recommendation_needs_nothing_more() -> None:
    assert after(simulated_trials(400, slope=12.0)) is None


def test_thin_evidence_asks_for_runs_near_the_setting_and_enough_of_them() -> None:
    made = after(frame_of([{"learning_rate": 0.1, "threshold": 0.5}]), task="copy", steps=70)
    assert made is not None
    spec = parse_spec(made.spec)
    assert (spec.name, spec.task, spec.steps, spec.trials) == ("s-near", "copy", 70, TRIALS)
    assert (spec.space.cells, spec.space.strategies) == (("lstm",), ("norm",))
    assert spec.space.learning_rate[0] < 0.1 < spec.space.learning_rate[1]
    assert spec.space.thresholds["norm"][0] < 0.5 < spec.space.thresholds["norm"][1]
    assert wilson_interval(1, TRIALS)[1] <= 0.2


@pytest.mark.parametrize(("strategy", "threshold"), [("none", None), ("autoclip", 90.0), ("zclip", 2.0)])
def test_what_is_asked_for_can_be_launched(strategy: str, threshold: float | None) -> None:
    made = after(frame_of([{"strategy": strategy, "threshold": threshold}]))
    assert made is not None
    parse_spec(made.spec)


def test_where_all_diverged_lower_learning_rates_are_next() -> None:
    made = after(frame_of([{"outcome": "diverged"}] * 3), space={"learning_rate": [0.1, 10]})
    assert made is not None
    assert parse_spec(made.spec).space.learning_rate == pytest.approx((1e-4, 0.1))


def test_where_nothing_learned_more_steps_are_next() -> None:
    made = after(frame_of([{"outcome": "stalled"}, {"outcome": "diverged"}]), steps=50)
    assert made is not None
    assert parse_spec(made.spec).steps == 150


def test_before_anything_ended_nothing_is_asked_for() -> None:
    assert after(frame_of([])) is None
