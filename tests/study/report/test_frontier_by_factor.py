from itertools import product

import numpy as np
import pandas as pd
import pytest
from simulated import simulated_study, simulated_trials

from gradstudy.study.report.figures.frontier_by_factor import frontier_by_factor_figure
from gradstudy.study.report.html import html_report
from gradstudy.study.report.report import Report, build_report
from gradstudy.study.report.text_forms import to_markdown

EDGES = {0: -0.5, 20: 0.0, 100: 0.5}
"""Decade of the learning rate beyond which runs diverge, by steps of warm-up."""
DECAYS = (0.01, 0.1)


def report_of(edges: dict[int, float], decays: tuple[float, ...] = ()) -> Report:
    parts = []
    for warmup, decay in product(edges, decays or (None,)):
        part = simulated_trials(120, edges=(edges[warmup],), strategies=("none", "norm"), seed=warmup)
        factors = {"warmup": float(warmup), "schedule": "linear"} | ({"weight_decay": decay} if decay else {})
        parts.append(part.assign(factors=[factors] * len(part)))
    trials = pd.concat(parts, ignore_index=True)
    return build_report(simulated_study(steps=200, trials=len(trials)), trials.assign(number=range(len(trials))))


@pytest.fixture(scope="module")
def report() -> Report:
    return report_of(EDGES)


def test_the_frontier_rises_with_the_warm_up_as_it_truly_does(report: Report) -> None:
    table = report.frontiers_by_factor
    assert table["factor"].unique().tolist() == ["warmup"]  # words are no number
    for strategy in ("none", "norm"):
        rows = table[table["strategy"] == strategy]
        assert rows["value"].tolist() == ["0.0", "20.0", "100.0"]
        true = [edge - np.log(9) / 8 for edge in EDGES.values()]  # where expit(8 * (decade - edge)) is 10%
        assert np.log10(rows["frontier"]).tolist() == pytest.approx(true, abs=0.25)


def test_the_figure_has_a_line_for_each_strategy_and_a_point_for_each_value(report: Report) -> None:
    made = frontier_by_factor_figure(report.frontiers_by_factor, "lstm", "warmup")
    assert [line.name.partition(",")[0] for line in made.data] == ["none", "norm from 0.01"]
    rows = report.frontiers_by_factor.query("strategy == 'none'")
    assert made.data[0].y == pytest.approx(rows["frontier"], rel=1e-3)
    low = np.array(made.data[0].y) - np.array(made.data[0].error_y.arrayminus)
    assert low == pytest.approx(rows["frontier_low"], rel=1e-2)
    assert made.layout.xaxis.tickvals == (0.0, 20.0, 100.0)
    shown = [tick for tick in np.log10(made.layout.yaxis.tickvals)
             if made.layout.yaxis.range[0] <= tick <= made.layout.yaxis.range[1]]  # fmt: skip
    assert len(shown) >= 2


def test_a_frontier_beyond_what_was_tried_is_an_arrow_there() -> None:
    report = report_of({0: 0.0, 20: 9.0})
    line = frontier_by_factor_figure(report.frontiers_by_factor, "lstm", "warmup").data[0]
    rows = report.frontiers_by_factor.query("strategy == 'none'")
    assert line.marker.symbol == ("circle", "triangle-up-open")
    assert line.y[1] == pytest.approx(rows["highest_learning_rate"].iloc[1], rel=1e-3)


def test_each_choice_of_the_other_factors_has_a_line_of_its_own() -> None:
    report = report_of(EDGES, DECAYS)
    table = report.frontiers_by_factor
    assert table["factor"].unique().tolist() == ["warmup", "weight_decay"]
    made = frontier_by_factor_figure(table, "lstm", "warmup")
    assert len(made.data) == 2 * len(DECAYS)
    assert {line.name.partition(", ")[2] for line in made.data} == {
        "schedule linear, weight_decay 0.01",
        "schedule linear, weight_decay 0.1",
    }


def test_pages_and_texts_have_it_where_a_number_is_varied(report: Report) -> None:
    empty = pd.DataFrame({"number": [], "step": [], "loss": [], "grad_norm": [], "cell": []})
    assert 'id="frontier-lstm-warmup"' in html_report(report, empty)
    assert "## Frontier by what is varied" in to_markdown(report)
    plain = build_report(simulated_study(), simulated_trials(60))
    assert plain.frontiers_by_factor.empty
    assert "Frontier by what is varied" not in html_report(plain, empty)
