"""The pages of the service in a real browser: quiet, alone, for narrow screens, keyboards and screen readers."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dashboard_process import Served, serving
from waiting import PATIENCE_SECONDS, until

from gradstudy.storage.database import Database
from gradstudy.storage.exclusion import exclude_trials
from gradstudy.storage.studies import find_study
from gradstudy.study.launch import create_or_resume
from gradstudy.study.spec.study_spec import StudySpec

CHROMIUM = shutil.which("chromium") or ""
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")
sync_api = pytest.importorskip("playwright.sync_api")
STRANGE = "<b>a</b> & b/ü"
CONTRAST = Path(__file__).with_name("contrast.js").read_text()
"""Finds the texts of a page whose contrast is below 4.5, as WCAG 2 asks for."""
NAMED = {"button", "link", "textbox", "searchbox", "combobox", "checkbox", "image", "region", "navigation", "search"}
"""Roles of what a screen reader announces by its name."""


@pytest.fixture(scope="module")
def storage(finished_file: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = shutil.copy(finished_file, tmp_path_factory.mktemp("pages") / "gradstudy.db")
    with Database.open(f"sqlite:///{path}") as database:
        create_or_resume(database, StudySpec(name="waiting", task="copy", trials=5))
        create_or_resume(database, StudySpec(name="strange", task="copy", trials=5))
        with database.engine.begin() as connection:
            renamed = "UPDATE studies SET study_name = ? WHERE study_name = 'strange'"
            connection.exec_driver_sql(renamed, (STRANGE,))
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def served(storage: str) -> Iterator[Served]:
    with serving(storage, "--writable") as service:
        service.until("api/studies/1", lambda study: study["note"]["body"])
        until(lambda: b'id="figures"' in service.ask("studies/s").body)
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    def __init__(self, browser: Any, home: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.home = home.rstrip("/")
        self.troubles: list[str] = []
        self.page.set_default_timeout(1000 * PATIENCE_SECONDS)
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", self._see)

    def _see(self, request: Any) -> None:
        if not request.url.startswith((f"{self.home}/", "data:", "blob:")):
            self.troubles.append(request.url)

    def go(self, path: str) -> Any:
        self.page.goto(self.home + path)
        return self.page

    def holds(self, condition: str) -> None:
        """Wait; playwright's own waiting evaluates text within the page, which the page's policy forbids."""
        until(lambda: self.page.evaluate(condition))

    def unnamed(self) -> list[str]:
        """What a screen reader would announce without a name."""
        session = self.context.new_cdp_session(self.page)
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        seen = [node for node in nodes if not node["ignored"] and node.get("role", {}).get("value") in NAMED]
        assert len(seen) > 5
        unnamed = [node["backendDOMNodeId"] for node in seen if not node.get("name", {}).get("value")]
        return [session.send("DOM.getOuterHTML", {"backendNodeId": key})["outerHTML"][:99] for key in unnamed]


@pytest.fixture
def visit(served: Served, browser: Any) -> Iterator[Visit]:
    visit = Visit(browser, served.url, viewport={"width": 1280, "height": 900})
    yield visit
    visit.context.close()
    assert visit.troubles == []


@pytest.mark.sampled
@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 1280, "height": 900}},
        {"viewport": {"width": 360, "height": 780}, "is_mobile": True, "has_touch": True},
        {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    ],
    ids=["desktop", "phone", "dark"],
)
def test_pages_are_quiet_alone_narrow_readable_and_named(served: Served, browser: Any, options: dict[str, Any]) -> None:
    visit = Visit(browser, served.url, **options)
    for path in ("/", "/studies/s", "/studies/waiting"):
        page = visit.go(path)
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        visit.holds("[...document.querySelectorAll('h1')].length === 1")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert page.evaluate(CONTRAST) == [], path
        assert visit.unnamed() == [], path
    visit.context.close()
    assert visit.troubles == []


def test_a_keyboard_leads_from_the_list_to_a_study_and_its_figures_are_drawn(visit: Visit) -> None:
    page = visit.go("/?containing=s")
    focused = "document.activeElement.textContent"
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate(focused) == "s":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/s")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    visit.holds("[...document.querySelectorAll('.figure')].every(div => div.dataset.drawn)")
    assert page.locator(".figure .main-svg").count() >= page.locator(".figure").count() > 0


def test_a_name_that_looks_like_markup_is_shown_as_it_is(visit: Visit) -> None:
    page = visit.go("/")
    page.get_by_role("link", name=STRANGE, exact=True).click()
    page.get_by_role("heading", name=STRANGE, exact=True, level=1).wait_for()


def test_pages_follow_what_happens_without_being_loaded_again(visit: Visit, storage: str, browser: Any) -> None:
    other = Visit(browser, visit.home)
    overview, page = other.go("/"), visit.go("/studies/s")
    visit.holds("document.querySelectorAll('.figure[data-drawn]').length > 0")
    for each in (overview, page):
        each.evaluate("window.same = 'yes'")
    page.locator("#report details").last.locator("summary").click()
    with Database.open(storage) as database:
        exclude_trials(database, find_study(database, "s"), [0], "a bad disk")
    overview.get_by_text("1 excluded").first.wait_for()
    page.get_by_text("a bad disk").first.wait_for()
    assert page.evaluate("[window.same, [...document.querySelectorAll('#report details')].at(-1).open]") == [
        "yes",
        True,
    ]
    assert overview.evaluate("window.same") == "yes"
    visit.holds("document.querySelectorAll('.figure[data-drawn]').length > 0")
    other.context.close()
    assert other.troubles == []


def test_the_forms_send_what_is_filled_in_and_show_what_is_answered(served: Served, browser: Any) -> None:
    visit = Visit(browser, served.url)
    sent: list[Any] = []

    def answer(route: Any) -> None:
        sent.append((route.request.method, route.request.url, route.request.post_data_json))
        body = {"error": "the budget is too small"} if len(sent) == 1 else {"study": {"name": "s"}}
        route.fulfill(status=422 if len(sent) == 1 else 201, content_type="application/json", body=json.dumps(body))

    visit.page.route("**/api/v1/**", answer)
    page = visit.go("/")
    page.get_by_text("Launch a study").click()
    page.get_by_label("Name", exact=True).fill("mine")
    page.get_by_label("Task").select_option("copy")
    page.get_by_label("Trials", exact=True).fill("7")
    page.get_by_label("Lowest learning rate").fill("1e-3")
    page.get_by_label("Highest learning rate").fill("10")
    page.get_by_label("GRU").uncheck()
    page.get_by_role("button", name="Launch", exact=True).click()
    page.get_by_text("the budget is too small").wait_for()
    page.get_by_label("The spec in TOML").fill('name = "mine"')
    page.get_by_role("button", name="Launch the spec").click()
    page.wait_for_url("**/studies/s")
    page.get_by_label("Train its best settings").fill("500")
    page.get_by_role("button", name="Train longer").click()
    page.get_by_text("The best settings of s are trained longer.").wait_for()
    page.once("dialog", lambda dialog: dialog.accept())
    visit.go("/studies/waiting").get_by_role("button", name="Stop waiting").click()
    page.get_by_text("No further trial of waiting begins.").wait_for()
    space = {"learning_rate": [1e-3, 10], "cells": ["lstm"]}
    spec = {"name": "mine", "task": "copy", "optimizer": "sgd", "trials": 7, "space": space}
    root = f"{visit.home}/api/v1/studies"
    assert sent == [
        ("POST", root, {"spec": spec}),
        ("POST", root, {"toml": 'name = "mine"'}),
        ("POST", f"{root}/s/extend", {"steps": 500}),
        ("POST", f"{root}/waiting/stop", {}),
    ]
    visit.context.close()
