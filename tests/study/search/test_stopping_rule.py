from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from simulated import frame_of, simulated_trials

from gradstudy.storage.database import Database
from gradstudy.storage.frames import read_trials
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.studies import find_study
from gradstudy.study.frontier.table import frontier
from gradstudy.study.launch import create_or_resume
from gradstudy.study.report.report import read_report
from gradstudy.study.search.stopping_rule import are_frontiers_known, expected_frontiers, interval_widths
from gradstudy.study.spec.study_spec import StudySpec

SPACE = {"cells": ["lstm"], "strategies": ["none"], "learning_rate": [1e-2, 1e2]}


def spec_of(width: float | None, **space: Any) -> StudySpec:
    return StudySpec.model_validate({"name": "s", "frontier_width": width, "space": SPACE | space})


def test_a_study_knows_enough_when_the_reports_intervals_are_narrow_enough() -> None:
    trials = simulated_trials(150, strategies=("none",))
    row = frontier(trials).iloc[0]
    width = np.log10(row["frontier_high"] / row["frontier_low"])
    assert are_frontiers_known(trials, spec_of(width + 0.01))
    assert not are_frontiers_known(trials, spec_of(width - 0.01))
    assert not are_frontiers_known(trials, spec_of(None))


def test_a_strategy_or_threshold_that_was_not_tried_is_not_known() -> None:
    trials = simulated_trials(300, strategies=("none", "norm"), edges=(0.5,) * 4)
    searched = {"strategies": ["none", "norm"], "thresholds": {"norm": [0.01, 0.03]}}
    assert are_frontiers_known(trials, spec_of(3.0, **searched))
    assert not are_frontiers_known(trials, spec_of(3.0, **(searched | {"thresholds": {"norm": [0.01, 0.2]}})))
    assert not are_frontiers_known(trials, spec_of(3.0, strategies=["none", "value"]))


@pytest.mark.parametrize("outcome", ["trained", "diverged"])
def test_a_frontier_beyond_the_learning_rates_is_known_to_be_there(outcome: str) -> None:
    final_loss = 2.0 if outcome == "trained" else np.inf
    table = frontier(simulated_trials(200, strategies=("none",)).assign(outcome=outcome, final_loss=final_loss))
    # About 28 runs without a divergence show that fewer than 10% diverge: the outermost 0.6 of 4 decades.
    assert interval_widths(table)[0] < 0.7


def test_a_few_runs_know_nothing() -> None:
    assert interval_widths(frontier(simulated_trials(7)))[0] == np.inf
    assert not are_frontiers_known(frame_of([]), spec_of(9.0))


def test_every_half_decade_of_a_threshold_has_a_frontier() -> None:
    spec = spec_of(1.0, cells=["lstm", "gru"], strategies=["none", "norm"], thresholds={"norm": [0.05, 1.0]})
    bins = [edge for cell, strategy, edge in expected_frontiers(spec) if (cell, strategy) == ("gru", "norm")]
    assert bins == pytest.approx([10**-1.5, 0.1, 10**-0.5])
    assert len(expected_frontiers(spec)) == 8


def test_thresholds_that_are_values_have_the_frontiers_of_their_half_decades() -> None:
    values = {"values": [0.05, 0.06, 1.0]}
    spec = spec_of(1.0, strategies=["norm"], thresholds={"norm": values})
    assert [edge for _, _, edge in expected_frontiers(spec)] == pytest.approx([10**-1.5, 1])
    trials = simulated_trials(300, strategies=("norm",)).assign(threshold=0.05, threshold_bin=10**-1.5)
    assert are_frontiers_known(trials, spec_of(3.0, strategies=["norm"], thresholds={"norm": {"values": [0.05]}}))
    assert not are_frontiers_known(trials, spec_of(3.0, strategies=["norm"], thresholds={"norm": values}))


def test_a_study_that_knows_enough_ends_before_its_budget_and_stays_ended(
    db: Database, work: Callable[..., None]
) -> None:
    spec = StudySpec.model_validate(
        {
            "name": "s", "task": "copy", "task_options": {"max_length": 4, "examples": 200},
            "model": {"hidden_size": 8}, "steps": 20, "batch_size": 8, "trials": 80, "sampler": "frontier",
            "frontier_width": 4.0,  # the whole range: known as soon as there are runs enough
            "space": {"cells": ["gru"], "strategies": ["none"], "learning_rate": [0.1, 1000]},
        }
    )  # fmt: skip
    work(db, spec)
    record = find_study(db, "s")
    trials = read_trials(db, "s")
    assert 16 <= record.budget == len(trials) < 80
    assert trials["outcome"].notna().all()
    counts = count_outcomes(db.engine, record)
    assert (counts["running"], counts["remaining"]) == (0, 0)
    assert any(
        "ended after" in sentence and "at most 80 trials" in sentence for sentence in read_report(db, "s").caveats
    )
    assert create_or_resume(db, spec).budget == record.budget
    work(db, spec)
    assert len(read_trials(db, "s")) == record.budget
