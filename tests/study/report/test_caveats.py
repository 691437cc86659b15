from typing import Any

import pytest
from simulated import frame_of, simulated_study, simulated_trials

from gradstudy.study.report.caveats import is_adaptive
from gradstudy.study.report.report import build_report


def said(rows: Any, **spec: Any) -> str:
    return "\n".join(build_report(simulated_study(**{"trials": len(rows) or 5, **spec}), rows).caveats)


def test_an_empty_study_says_that_nothing_has_ended() -> None:
    assert said(frame_of([])) == "No trial has ended: nothing can be said yet."


def test_one_trial_is_called_one_trial() -> None:
    text = said(frame_of([{}]))
    assert "1 run cannot tell a safe setting from a lucky one." in text
    assert "No run diverged" in text
    assert "Of 1 frontier not bracketed: 1 with too few runs." in text


def test_a_study_in_which_all_diverged_says_so() -> None:
    text = said(simulated_trials(20).assign(outcome="diverged"))
    assert "Every run diverged" in text
    assert "1 below them" in text


def test_a_study_in_which_none_diverged_says_so() -> None:
    text = said(simulated_trials(20).assign(outcome="trained"))
    assert "No run diverged" in text
    assert "1 above the learning rates tried" in text


def test_trials_that_have_not_ended_or_failed_are_counted() -> None:
    outcomes = ["trained", "diverged"] * 8 + ["failed"]
    text = said(frame_of({"outcome": outcome} for outcome in outcomes), trials=20)
    assert "3 trials of 20 have not ended" in text
    assert "1 trial failed" in text


@pytest.mark.parametrize(("sampler", "adaptive"), [("tpe", True), ("qmc", False), ("random", False)])
def test_rates_of_an_adaptive_sampler_are_called_biased(sampler: str, adaptive: bool) -> None:
    assert is_adaptive(simulated_study(sampler=sampler)) is adaptive
    assert ("biased" in said(simulated_trials(30), sampler=sampler)) is adaptive


def test_a_well_sampled_study_has_nothing_to_confess() -> None:
    assert said(simulated_trials(300)) == ""


def test_aggressive_clipping_is_named() -> None:
    text = said(simulated_trials(300).assign(clipped_fraction=0.7))
    assert "More than half of the updates were clipped with lstm norm" in text


def test_aggressive_clipping_is_named_with_the_factors_that_it_is_of() -> None:
    trials = simulated_trials(300)
    long = trials["number"] % 2 == 0
    trials = trials.assign(
        factors=[{"length": 50 if each else 10} for each in long], clipped_fraction=long.map({True: 0.7, False: 0.1})
    )
    text = said(trials, task="adding", space={"factors": {"length": [10, 50]}})
    assert "clipped with lstm norm (length 50): the Deep Learning" in text
