from collections.abc import Callable

import pytest
from simulated import appraised, frame_of

from gradstudy.storage.bins import half_decade
from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError
from gradstudy.study.answer.recommendation import recommend
from gradstudy.study.launch import create_or_resume
from gradstudy.study.report.report import read_report
from gradstudy.study.spec.study_spec import StudySpec


def test_every_trial_is_in_both_tables(finished: Database) -> None:
    report = read_report(finished, "s")
    diverged = int((report.trials["outcome"] == "diverged").sum())
    for table in (report.strategies, report.bins):
        assert table["runs"].sum() == 12
        assert table["diverged"].sum() == diverged > 0
    assert report.recommendation == recommend(appraised(report.trials), report.frontiers, report.study.spec)


def test_bins_are_decades_of_threshold_and_half_decades_of_learning_rate(finished: Database) -> None:
    report = read_report(finished, "s")
    bins = set(zip(report.bins["threshold_decade"], report.bins["learning_rate_bin"], strict=True))
    for trial in report.trials.dropna(subset="threshold").to_dict("records"):
        decade = next(10.0**power for power in range(-5, 5) if 10**power <= trial["threshold"] < 10 ** (power + 1))
        assert any(
            found == pytest.approx(decade) and edge == half_decade(trial["learning_rate"]) for found, edge in bins
        )


def test_a_study_without_trials_has_an_empty_report(db: Database, spec: StudySpec) -> None:
    create_or_resume(db, spec)
    report = read_report(db, "s")
    assert report.recommendation is None
    assert report.strategies.empty
    assert report.bins.empty


def test_a_study_that_diverged_altogether_recommends_nothing(
    finished: Database, execute: Callable[..., object]
) -> None:
    execute(finished, "UPDATE gradstudy_trial SET outcome = 'diverged', validation_loss = NULL")
    report = read_report(finished, "s")
    assert report.recommendation is None
    assert report.strategies["rate"].tolist() == [1.0] * len(report.strategies)


def test_a_strategy_of_which_all_runs_diverged_does_not_repeat_the_row_of_another() -> None:
    trained = [{"number": n, "strategy": "none", "threshold": None, "learning_rate": 0.1 * (n + 1)} for n in range(4)]
    lost = {"outcome": "diverged", "reason": "blow_up", "diverged_at_step": 3, "validation_loss": None}
    trials = frame_of([*trained, *({"number": n, "learning_rate": 10.0 * n, **lost} for n in range(4, 7))])
    groups = appraised(trials).by_group()
    assert groups["strategy"].tolist() == ["none"]


def test_an_unknown_study_has_no_report(finished: Database) -> None:
    with pytest.raises(NotFoundError, match="there is no study 'other'"):
        read_report(finished, "other")
