from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulated import appraised, frame_of, simulated_study, simulated_trials

from gradstudy.study.answer.confirmation_plan import Chosen, choose, confirmation_table
from gradstudy.study.answer.recommendation import recommend
from gradstudy.study.frontier.table import frontier
from gradstudy.study.report.comparison import Comparison
from gradstudy.study.report.html import html_comparison, html_report
from gradstudy.study.report.report import Report, build_report
from gradstudy.study.report.tables import text_tables
from gradstudy.study.report.text_forms import to_json, to_markdown
from gradstudy.study.statistics.rates import divergence_by_factor, wilson_interval
from gradstudy.study.statistics.survival import survival

EDGES = {10: 1.2, 50: -0.8}
"""Decade of the learning rate beyond which runs diverge, by length."""


def of_length(length: int, runs: int = 150, **given: Any) -> pd.DataFrame:
    trials = simulated_trials(runs, edges=(EDGES[length],), seed=length, **given)
    return trials.assign(factors=[{"length": length}] * runs)


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    both = pd.concat([of_length(10), of_length(50)], ignore_index=True)
    return both.assign(number=range(len(both)))


@pytest.fixture(scope="module")
def report(trials: pd.DataFrame) -> Report:
    return build_report(simulated_study(task="adding", space={"factors": {"length": [10, 50]}}), trials)


def test_too_many_frontiers_for_one_fit_are_fitted_for_each_value_alone(
    trials: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradstudy.study.frontier.crossings.MOST_TARGETS", 1)
    table = frontier(trials)
    for length in EDGES:
        alone = frontier(simulated_trials(150, edges=(EDGES[length],), seed=length))
        mine = table[table["factors"] == f"length {length}"].drop(columns="factors").reset_index(drop=True)
        # The prior of a frontier with one more factor is a little wider.
        pd.testing.assert_frame_equal(mine, alone, rtol=0.02)


def test_each_value_has_the_frontier_that_is_true_of_it(report: Report) -> None:
    found = dict(zip(report.frontiers["factors"], report.frontiers["frontier"], strict=True))
    for length, edge in EDGES.items():
        true = edge - np.log(9) / 8  # where expit(8 * (decade - edge)) is 10%
        assert abs(np.log10(found[f"length {length}"]) - true) < 0.25


def test_the_table_of_factors_counts_the_runs_of_each_value(trials: pd.DataFrame) -> None:
    table = divergence_by_factor(trials)
    assert table[["factor", "value"]].to_numpy().tolist() == [["length", "10"], ["length", "50"]]
    for row in table.to_dict("records"):
        runs = [given["length"] == int(row["value"]) for given in trials["factors"]]
        lost = int((trials[runs]["outcome"] == "diverged").sum())
        assert (row["runs"], row["diverged"]) == (150, lost)
        assert (row["rate_low"], row["rate_high"]) == pytest.approx(wilson_interval(lost, 150))
    switch = divergence_by_factor(trials.assign(factors=[{"standardize": number % 2 == 0} for number in range(300)]))
    assert switch["value"].tolist() == ["false", "true"]


def test_what_is_chosen_for_confirmation_keeps_its_factors(trials: pd.DataFrame) -> None:
    chosen = choose(appraised(trials), trials, 2)
    assert [setting.factors for setting in chosen] == [{"length": 10}] * 3 + [
        {"length": 50}
    ] * 3  # no third one is left to be their rival


def test_fresh_runs_count_for_the_setting_of_their_factors() -> None:
    fields = {"cell": "lstm", "strategy": "norm", "threshold": 1.0, "learning_rate": 1.0, "multiple": 1.0, "number": 7}
    chosen = [Chosen(**fields, factors={"length": length}) for length in (10, 50)]  # type: ignore[arg-type]
    fresh = frame_of(
        [{"number": n, "seed": n, "factors": {"length": 10}, "validation_loss": 3.0} for n in range(30)]
        + [{"number": n, "seed": n, "factors": {"length": 50}, "outcome": "diverged"} for n in range(30, 50)]
    )
    table = confirmation_table(chosen, fresh)
    assert table[["factors", "runs", "diverged"]].to_numpy().tolist() == [["length 10", 30, 0], ["length 50", 20, 20]]
    both = pd.concat([of_length(10), of_length(50)], ignore_index=True)
    best = recommend(appraised(both.assign(number=range(len(both))), confirming=fresh), frontier(both))
    assert best is not None
    assert best.evidence.fresh is not None
    assert (best.setting.factors, best.evidence.fresh.runs, best.evidence.fresh.diverged) == ("length 10", 30, 0)


def test_every_form_of_a_report_tells_the_values_apart(report: Report) -> None:
    assert report.recommendation is not None
    assert {table.name for table in text_tables(report)} >= {"factors", "strategies", "frontier", "bins"}
    steps = pd.DataFrame(columns=["number", "step", "loss", "grad_norm", "cell", "outcome"]).astype(
        {"grad_norm": float}
    )
    page = html_report(report, steps)
    for form in (page, to_markdown(report)):
        assert f"learning rate {report.recommendation.setting.learning_rate:.3g}, length 10" in form
        assert "Each value of what is varied" in form
    assert '"map-lstm-norm-0"' in page
    assert '"map-lstm-norm-1"' in page
    assert '"factors": "length 50"' in to_json(report)


def test_survival_is_that_of_each_value(report: Report, trials: pd.DataFrame) -> None:
    for length in EDGES:
        mine = report.survival[report.survival["factors"] == f"length {length}"].drop(columns="factors")
        alone = survival(trials[[given["length"] == length for given in trials["factors"]]])
        pd.testing.assert_frame_equal(mine.reset_index(drop=True), alone)
    page = html_report(report, pd.DataFrame(columns=["number", "step", "loss", "grad_norm", "cell", "outcome"]).astype(
        {"grad_norm": float}))  # fmt: skip
    assert '"survival-lstm-0"' in page
    assert '"survival-lstm-1"' in page


def test_a_study_with_factors_is_compared_with_one_without_value_by_value(report: Report) -> None:
    plain = build_report(simulated_study("plain"), simulated_trials(80))
    table = Comparison(report, plain).table
    assert sorted(table["factors"]) == ["", "length 10", "length 50"]
    assert table["difference"].isna().all()
    same = Comparison(report, report).table
    assert same["difference"].tolist() == [0, 0]
    assert "length 50" in html_comparison(Comparison(report, report))


def test_without_factors_no_table_speaks_of_them() -> None:
    plain = build_report(simulated_study("plain"), simulated_trials(80))
    tables = plain.tables()
    assert tables["factors"].empty
    assert not any("factors" in table for table in tables.values())
    assert not any("Factors" in caveat for caveat in plain.caveats)
