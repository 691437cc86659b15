"""A path or a value that looks like markup is shown as it is, in every form."""

import html
import json
import re
from io import StringIO
from typing import Any

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from simulated import simulated_study, simulated_trials

from gradstudy.study.report.comparison import Comparison
from gradstudy.study.report.dashboard.note import write_note
from gradstudy.study.report.figures.collection import report_figures
from gradstudy.study.report.figures.frontier_comparison import frontier_comparison
from gradstudy.study.report.html import html_report
from gradstudy.study.report.report import Report, build_report
from gradstudy.study.report.terminal import print_report
from gradstudy.study.report.text_forms import to_markdown

VALUES = ("[/red]a|b", "<i>:fire:</i> $x$ *y* &lt; %{x}")
TASK = "pairs:[/old]/:fire:/a_b|<b>.tsv"
NO_STEPS = pd.DataFrame(columns=["number", "step", "loss", "grad_norm", "cell", "outcome"]).astype({"grad_norm": float})
RENDERER = MarkdownIt("commonmark").enable("table")


def runs_of(value: str, seed: int) -> pd.DataFrame:
    return simulated_trials(60, seed=seed).assign(factors=[{"mode": value}] * 60)


@pytest.fixture(scope="module")
def varied() -> Report:
    trials = pd.concat([runs_of(value, seed) for seed, value in enumerate(VALUES)], ignore_index=True)
    spec = {"task": "module:mine:problem", "space": {"cells": ["lstm"], "factors": {"mode": VALUES}}}
    return build_report(simulated_study(**spec), trials.assign(number=range(len(trials))))


@pytest.fixture(scope="module")
def of_a_file() -> Report:
    return build_report(simulated_study(task=TASK), simulated_trials(60))


def printed(made: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    text = StringIO()
    monkeypatch.setattr(Console, "file", property(lambda console: text))
    monkeypatch.setenv("COLUMNS", "400")
    print_report(made)
    return text.getvalue()


def rendered(markdown: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", RENDERER.render(markdown))).split())


def test_the_terminal_prints_it(varied: Report, of_a_file: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    for made in (varied, Comparison(varied, varied)):
        text = printed(made, monkeypatch)
        assert all(f"mode {value}" in text for value in VALUES)
    assert printed(of_a_file, monkeypatch).startswith(f"Study s: {TASK}, sgd, hidden 64, ")


def test_markdown_shows_it_and_each_row_has_its_cells(varied: Report, of_a_file: Report) -> None:
    for markdown in (to_markdown(varied), to_markdown(Comparison(varied, varied)), write_note(varied, 0)):
        page = RENDERER.render(markdown)
        assert all(f"mode {value}" in rendered(markdown) for value in VALUES)
        for table in re.findall(r"<table>.*?</table>", page, re.DOTALL):
            heading, *rows = table.split("<tr>")[1:]
            assert {len(re.findall("<td[ >]", row)) for row in rows} == {len(re.findall("<th[ >]", heading))}
    for markdown in (to_markdown(of_a_file), write_note(of_a_file, 0)):
        assert TASK in rendered(markdown)


def test_the_note_of_the_dashboard_tells_the_values_apart(varied: Report) -> None:
    rates = write_note(varied, 0).partition("## Divergence of each strategy")[2]
    cells = [[html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
             for row in RENDERER.render(rates).split("<tr>")[2:]]  # fmt: skip
    assert [row[:3] for row in cells] == [["lstm", "norm", f"mode {value}"] for value in sorted(VALUES)]
    expected = varied.strategies.set_index("factors")
    for row in cells:
        assert row[3] == f"{expected.loc[row[2], 'diverged']} / {expected.loc[row[2], 'runs']}"


def test_the_page_escapes_it(varied: Report, of_a_file: Report) -> None:
    pages = [html_report(report, NO_STEPS) for report in (varied, of_a_file)]
    assert all(f"mode {html.escape(value)}" in pages[0] for value in VALUES)
    assert html.escape(TASK) in pages[1]
    assert "<b>.tsv" not in pages[1]


def test_figures_hold_no_element_formula_or_field_of_it(varied: Report) -> None:
    steps = varied.trials.assign(step=0, loss=1.0, grad_norm=1.0)
    sections = report_figures(varied, steps)
    figures = [figure for section in sections.values() for figure in section.values()]
    figures.append(frontier_comparison(Comparison(varied, varied).frontiers, "lstm"))
    for figure in figures:
        text = json.dumps(figure.to_plotly_json(), default=list)
        assert "<i>" not in text
        assert "$x$" not in text
        assert "&lt; %{x}" not in text
    titles = [figure.layout.title.text for figure in figures]
    escaped = "mode &lt;i&gt;:fire:&lt;/i&gt; &#36;x&#36; *y* &amp;lt; %&#123;x}"
    assert any(escaped in str(title) for title in titles)
    curves = [curve.hovertemplate or "" for figure in sections["loss"].values() for curve in figure.data]
    assert any(escaped in label for label in curves)
    assert any("mode [/red]a|b<br>" in label for label in curves)
