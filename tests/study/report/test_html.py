import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulated import STEPS, frame_of, simulated_study, simulated_trials

from gradstudy.study.report.comparison import Comparison
from gradstudy.study.report.figures.collection import report_figures
from gradstudy.study.report.figures.loss_curves import drawn_trials, every_nth
from gradstudy.study.report.html import html_comparison, html_report, with_code
from gradstudy.study.report.report import Report, build_report

MIXED = simulated_trials(150, edges=(0.5,) * 4, cells=("gru", "lstm"), strategies=("norm", "none"))

NEVER = {"diverged_at_step": pd.array([None] * len(MIXED), dtype="Int64")}


def steps_of(trials: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``step_result`` of the trials that are drawn."""
    rows = [
        {"number": trial["number"], "step": step, "cell": trial["cell"], "outcome": trial["outcome"],
         "loss": 3.0 if step < 9 else None, "grad_norm": 0.5}
        for trial in drawn_trials(trials).to_dict("records")
        for step in range(10)
    ]  # fmt: skip
    columns = ["number", "step", "cell", "outcome", "loss", "grad_norm"]
    return pd.DataFrame(rows, columns=columns).astype({"loss": float, "grad_norm": float, "step": int})


def made(trials: pd.DataFrame, **spec: Any) -> Report:
    return build_report(simulated_study(**spec), trials, "sqlite:///x.db")


def page_of(trials: pd.DataFrame, **spec: Any) -> str:
    return html_report(made(trials, **spec), steps_of(trials))


def figures_in(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    figures: dict[str, Any] = json.loads(found[1], parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    return figures


def test_the_page_names_nothing_outside_of_itself() -> None:
    page = page_of(MIXED)
    ours = page.replace(page[page.index("<script>") : page.index("</script>")], "")  # without plotly.js
    assert re.findall(r"(?:src|href)=[\"']?([^\"' >]+)", ours) == ["data:,"]
    assert "default-src 'none'" in ours
    assert len(page) < 6 * 2**20


def test_every_figure_has_its_place_and_every_cell_and_strategy_its_map() -> None:
    page = page_of(MIXED)
    figures = figures_in(page)
    assert set(re.findall(r'class="figure" id="([^"]+)"', page)) == set(figures)
    assert {name for name in figures if name.startswith("map-")} == {
        f"map-{cell}-{strategy}" for cell in ("gru", "lstm") for strategy in ("norm", "none")
    }


def test_a_map_shows_every_run_and_the_frontier() -> None:
    report = made(MIXED)
    figure = report_figures(report, steps_of(MIXED))["map"]["map-lstm-norm"]
    runs = MIXED[(MIXED["cell"] == "lstm") & (MIXED["strategy"] == "norm")]
    drawn = {
        trace.name: len(trace.x) for trace in figure.data if trace.mode == "markers" and trace.name != "recommended"
    }
    assert drawn == runs["outcome"].value_counts().to_dict()
    edges = [trace.x[0] for trace in figure.data if trace.name == "frontier"]
    frontiers = report.frontiers
    expected = frontiers[(frontiers["cell"] == "lstm") & (frontiers["strategy"] == "norm")]["frontier"].dropna()
    assert edges == pytest.approx(expected.tolist(), rel=1e-3)


def test_a_diverged_run_is_marked_at_its_last_finite_loss() -> None:
    curves = report_figures(made(MIXED), steps_of(MIXED))["loss"]["loss-gru"]
    marks = next(trace for trace in curves.data if trace.name == "diverged here")
    drawn = drawn_trials(MIXED)
    assert len(marks.x) == ((drawn["cell"] == "gru") & (drawn["outcome"] == "diverged")).sum()
    assert set(marks.x) == {8}


def test_what_is_drawn_does_not_grow_with_the_study() -> None:
    large = simulated_trials(4000, cells=("gru", "lstm"))
    assert len(drawn_trials(large)) <= 60
    assert every_nth(1000) * 150 <= 1000
    assert every_nth(50) == 1
    figures = report_figures(made(large), steps_of(large))
    assert max(len(trace.x) for trace in figures["map"]["map-gru-norm"].data) <= 300


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        (frame_of([]), "No trial has ended"),
        (frame_of([{}]), "1 run cannot tell a safe setting from a lucky one"),
        (MIXED.assign(outcome="diverged", validation_loss=np.nan), "Every run diverged"),
        (MIXED.assign(outcome="trained", **NEVER), "No run diverged"),
        (MIXED.assign(outcome=None, **NEVER), "No trial has ended"),
    ],
    ids=["empty", "one trial", "all diverged", "none diverged", "running"],
)  # fmt: skip
def test_studies_with_little_to_say_have_a_page_that_says_so(trials: pd.DataFrame, said: str) -> None:
    page = page_of(trials)
    assert said in page
    figures_in(page)


def test_commands_in_a_sentence_are_code_and_the_rest_is_text() -> None:
    page = page_of(simulated_trials(300))
    assert re.search("<code>gradstudy extend [^<`]+</code> trains the best settings longer", page)
    assert with_code("`a & b` <b>") == "<code>a &amp; b</code> &lt;b&gt;"


def test_text_from_a_study_is_no_markup() -> None:
    page = page_of(MIXED, seed=5).replace("<", "&lt;")
    assert page
    report = build_report(simulated_study(), MIXED, "sqlite:///<b>&.db")
    assert "sqlite:///&lt;b&gt;&amp;.db" in html_report(report, steps_of(MIXED))


def test_an_adaptive_sampler_is_named_beside_the_rates() -> None:
    assert "Rates are biased" in page_of(MIXED, sampler="tpe")
    assert "Rates are biased" not in page_of(MIXED)


def test_the_page_tells_how_to_reproduce_it() -> None:
    page = page_of(MIXED, task="reverse")
    for line in ("gradstudy launch s.toml", "gradstudy report s", f"steps = {STEPS}", "torch 2.9", "backwards"):
        assert line in page


def test_a_comparison_is_a_page_too() -> None:
    comparison = Comparison(made(MIXED, name="a"), made(simulated_trials(100), name="b", steps=7))
    page = html_comparison(comparison)
    assert (
        set(re.findall(r'class="figure" id="([^"]+)"', page))
        == set(figures_in(page))
        == {"frontier-gru", "frontier-lstm"}
    )
    assert "<dt>steps</dt><dd>100 → 7</dd>" in page
