from typing import Any

import pandas as pd
import pytest
from simulated import frame_of, simulated_study, simulated_trials

from gradstudy.study.report.caveats import is_adaptive, of_length
from gradstudy.study.report.report import build_report


def said(rows: Any, **spec: Any) -> str:
    return "\n".join(build_report(simulated_study(**{"trials": len(rows) or 5, **spec}), rows).caveats)


def test_an_empty_study_says_that_nothing_has_ended() -> None:
    assert said(frame_of([])) == "No trial has ended: nothing can be said yet."


def test_one_trial_is_called_one_trial() -> None:
    text = said(frame_of([{}]))
    assert "1 run cannot tell a safe setting from a lucky one." in text
    assert "No run diverged" in text
    assert "frontier" not in text  # one learning rate tells of none


def test_a_study_in_which_all_diverged_says_so() -> None:
    text = said(simulated_trials(20).assign(outcome="diverged"))
    assert "Every run diverged" in text
    assert "The frontier, below the learning rates tried, is not bracketed." in text


def test_a_study_in_which_none_diverged_says_so() -> None:
    text = said(simulated_trials(20).assign(outcome="trained"))
    assert "No run diverged" in text
    assert "The frontier, above the learning rates tried, is not bracketed." in text


def test_how_many_of_several_frontiers_are_not_bracketed_is_said() -> None:
    trained = simulated_trials(20).assign(outcome="trained")
    text = said(pd.concat([trained, trained.assign(cell="gru"), trained.head(3).assign(strategy="value")]))
    assert "3 of 3 frontiers are not bracketed: 1 with too few runs, 2 above the learning rates tried." in text


def test_trials_that_have_not_ended_or_failed_are_counted() -> None:
    outcomes = ["trained", "diverged"] * 8 + ["failed"]
    text = said(frame_of({"outcome": outcome} for outcome in outcomes), trials=20)
    assert "3 trials of 20 have not ended" in text
    assert "1 trial failed" in text


@pytest.mark.parametrize(("sampler", "adaptive"), [("tpe", True), ("qmc", False), ("random", False)])
def test_rates_of_an_adaptive_sampler_are_called_biased(sampler: str, adaptive: bool) -> None:
    assert is_adaptive(simulated_study(sampler=sampler)) is adaptive
    assert ("biased" in said(simulated_trials(30), sampler=sampler)) is adaptive


def test_a_well_sampled_study_has_only_its_length_to_confess() -> None:
    text = said(simulated_trials(300))
    assert [text] == list(of_length(simulated_study("s"), None, has_answer=True))
    assert text.startswith("All this is of runs of 100 steps.")


def clipping(**shares: float) -> pd.DataFrame:
    """Runs whose strategies clip these shares of their updates; without clipping they end a little lower."""
    trials = simulated_trials(300, strategies=tuple(shares))
    losses = trials["validation_loss"] - 0.15 * (trials["strategy"] == "none")
    return trials.assign(clipped_fraction=trials["strategy"].map(shares), validation_loss=losses)


def test_aggressive_clipping_is_named_where_a_strategy_that_clips_less_is_as_good() -> None:
    text = said(clipping(norm=0.7, none=0.0))
    assert "More than half of the updates were clipped with lstm norm, and" in text
    assert "clipped with" not in said(clipping(norm=0.7))
    assert "clipped with" not in said(clipping(normalize=1.0, none=0.0))


def test_aggressive_clipping_that_pays_is_no_news() -> None:
    trials = clipping(norm=0.7, none=0.0)
    better = trials["validation_loss"] - 1.0 * (trials["strategy"] == "norm")
    assert "clipped with" not in said(trials.assign(validation_loss=better))


def test_steps_that_a_rule_skipped_are_counted_apart_from_those_of_the_guard() -> None:
    skipping = [{"strategy": "skip_z", "clipped_fraction": share, "skipped_steps": 3} for share in (0.0, 0.05, 0.12)]
    guarded = [{"strategy": "norm", "skipped_steps": 2}, {"strategy": "norm", "skipped_steps": 0}]
    text = said(frame_of([*skipping, *guarded]))
    assert "skip_z skipped 17 of 300 steps, in 2 of its 3 runs" in text
    assert "in 20% of the runs, 2 steps in all" in text
    assert "norm skipped" not in text
