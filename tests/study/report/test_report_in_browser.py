"""The report in a real browser: Debian's chromium, which pip does not bring."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from simulated import simulated_study, simulated_trials
from waiting import PATIENCE_SECONDS, until

from gradstudy.storage.database import Database
from gradstudy.study.report.html import html_report, read_drawn_steps
from gradstudy.study.report.report import build_report, read_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium (Debian: apt install chromium)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def path(finished: Database, tmp_path: Path) -> Path:
    report = read_report(finished, "s")
    file = tmp_path / "report.html"
    file.write_text(html_report(report, read_drawn_steps(finished, report)))
    return file


def wait_until(page: Any, condition: str) -> None:
    """Playwright's own waiting evaluates text within the page, which the page's policy forbids."""
    until(lambda: page.evaluate(condition))


def opened(browser: Any, path: Path, **options: Any) -> tuple[Any, list[str], list[str]]:
    """The page with every figure drawn, what its console said, and what it asked for."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(1000 * PATIENCE_SECONDS)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{path}")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    wait_until(page, "[...document.querySelectorAll('.figure')].every(div => div.dataset.drawn)")
    return page, said, asked


@pytest.mark.sampled
@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 1280, "height": 900}},
        {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
        {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    ],
    ids=["desktop", "phone", "dark"],
)
def test_it_opens_from_a_file_quietly_and_alone(browser: Any, path: Path, options: dict[str, Any]) -> None:
    page, said, asked = opened(browser, path, **options)
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [f"file://{path}"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator(".figure .main-svg").count() >= page.locator(".figure").count() > 0


def test_dark_mode_is_dark_in_page_and_figures_and_follows_the_system(browser: Any, path: Path) -> None:
    page, *_ = opened(browser, path, color_scheme="dark")
    ink = "document.querySelector('.figure')._fullLayout.font.color"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 27)"
    assert page.evaluate(ink) == "#e8eaed"
    page.emulate_media(color_scheme="light")
    wait_until(page, f"{ink} === '#1c1c1e'")


def test_tables_sort_by_number_and_by_word_both_ways(browser: Any, path: Path) -> None:
    page, said, _ = opened(browser, path)
    table = page.locator("#table-strategies")

    def column(heading: str) -> list[str]:
        headings = [text.strip() for text in table.locator("th").all_inner_texts()]
        return [row.locator("td").nth(headings.index(heading)).inner_text() for row in table.locator("tbody tr").all()]

    for heading, key in (("runs", float), ("strategy", str)):
        table.get_by_role("button", name=heading, exact=True).click()
        assert column(heading) == sorted(column(heading), key=key)
        table.get_by_role("button", name=heading, exact=True).click()
        assert column(heading) == sorted(column(heading), key=key, reverse=True)
    assert said == []


def test_missing_numbers_come_last_either_way(browser: Any, tmp_path: Path) -> None:
    trials = simulated_trials(60, cells=("gru", "lstm"), strategies=("norm", "value"))
    lost = trials["strategy"] == "value"
    trials = trials.assign(
        outcome=trials["outcome"].mask(lost, "diverged"), validation_loss=trials["validation_loss"].mask(lost)
    )
    report = build_report(simulated_study(), trials)
    file = tmp_path / "report.html"
    file.write_text(html_report(report, trials.assign(step=0, loss=1.0, grad_norm=1.0)))
    page, *_ = opened(browser, file)
    table = page.locator("#table-strategies")
    position = [text.strip() for text in table.locator("th").all_inner_texts()].index("lowest loss")
    for _ in range(2):
        table.get_by_role("button", name="lowest loss").click()
        assert [row.locator("td").nth(position).inner_text() for row in table.locator("tbody tr").all()][-2:] == [
            "–",
            "–",
        ]


def test_a_value_that_looks_like_markup_is_shown_as_it_is(browser: Any, tmp_path: Path) -> None:
    value = "<i>a</i> $x$ &lt; %{x}"
    trials = simulated_trials(60).assign(factors=[{"mode": value}] * 60)
    spec = {"task": "module:mine:problem", "space": {"cells": ["lstm"], "factors": {"mode": [value, "b"]}}}
    file = tmp_path / "report.html"
    report = build_report(simulated_study(**spec), trials)
    file.write_text(html_report(report, trials.assign(step=0, loss=1.0, grad_norm=1.0)))
    page, said, _ = opened(browser, file)
    assert said == []
    assert page.locator("#map-lstm-norm-0 .gtitle-subtitle").inner_html() == (
        "mode &lt;i&gt;a&lt;/i&gt; $x$ &amp;lt; %{x}"
    )
