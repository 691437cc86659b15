"""The dashboard in a real browser."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dashboard_process import Served, serving
from waiting import PATIENCE_SECONDS

STRANGER = "stranger.example"
CHROMIUM = shutil.which("chromium") or ""
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")

sync_api = pytest.importorskip("playwright.sync_api")


class Visit:
    """One page of a browser, and what went wrong on it."""

    def __init__(self, page: "sync_api.Page", home: str) -> None:
        self.page = page
        self.home = home
        self.troubles: list[str] = []
        self.strangers: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("request", self._see)

    def _hear(self, message: "sync_api.ConsoleMessage") -> None:
        if message.type in {"error", "warning"}:
            self.troubles.append(message.text)

    def _see(self, request: "sync_api.Request") -> None:
        if not request.url.startswith((self.home, "data:", "blob:")):
            self.strangers.append(request.url)

    def go(self, path: str) -> None:
        self.page.goto(f"{self.home}dashboard{path}")

    def sees(self, text: str) -> None:
        self.page.get_by_text(text, exact=False).first.wait_for()


@pytest.fixture(scope="module")
def served(finished_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = shutil.copy(finished_file, tmp_path_factory.mktemp("browser") / "gradstudy.db")
    with serving(f"sqlite:///{path}") as dashboard:
        dashboard.until("api/studies/1", lambda study: study["note"]["body"])
        yield dashboard


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with sync_api.sync_playwright() as playwright:
        # A strange name that points here, and a browser without a protection of its own against what is local.
        resolving = f"--host-resolver-rules=MAP {STRANGER} 127.0.0.1"
        arguments = ["--no-sandbox", resolving, "--disable-features=LocalNetworkAccessChecks"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def visit(served: Served, browser: "sync_api.Browser") -> Iterator[Visit]:
    """A page that had no trouble and that stayed on this machine."""
    with browser.new_page(viewport={"width": 1400, "height": 1000}) as page:
        page.set_default_timeout(1000 * PATIENCE_SECONDS)
        visit = Visit(page, served.url)
        yield visit
        assert (visit.troubles, visit.strangers) == ([], [])


def test_a_click_leads_from_the_list_to_the_study(visit: Visit) -> None:
    visit.go("")
    visit.page.get_by_role("link", name=re.compile(r"\bs\b")).first.click()
    visit.page.get_by_role("heading", name="History").wait_for()
    assert visit.page.url == f"{visit.home}dashboard/studies/1"


def test_the_plots_are_drawn(visit: Visit) -> None:
    visit.go("/studies/1")
    for title in ("Map: LSTM, none", "Map: GRU, norm", "Training loss: LSTM", "Gradient norms: GRU"):
        plot = visit.page.locator(".js-plotly-plot").filter(has_text=title)
        plot.locator("g.trace").first.wait_for(state="attached")


def test_the_note_holds_the_summary(visit: Visit) -> None:
    visit.go("/studies/1/note")
    for heading in ("What is asked", "Progress", "Recommendation", "Divergence of each strategy"):
        visit.page.get_by_role("heading", name=heading).wait_for()
    visit.sees("8 of 8 trials")
    visit.page.get_by_role("cell", name="norm").first.wait_for()


def test_a_trial_shows_its_outcome(visit: Visit) -> None:
    visit.go("/studies/1/trials")
    visit.sees("outcome")
    visit.sees("clipped_fraction")


def test_what_is_refused_is_said(served: Served, browser: "sync_api.Browser") -> None:
    with browser.new_page() as page:
        page.set_default_timeout(1000 * PATIENCE_SECONDS)
        page.goto(f"{served.url}dashboard")
        page.get_by_role("button", name=re.compile("delete", re.IGNORECASE)).first.click()
        page.get_by_role("button", name=re.compile("^(yes|delete)$", re.IGNORECASE)).first.click()
        page.get_by_text("Failed to delete study").first.wait_for()
        page.reload()
        page.get_by_role("link", name=re.compile(r"\bs\b")).first.wait_for()


def test_another_site_can_neither_frame_it_nor_speak_to_it(served: Served, browser: "sync_api.Browser") -> None:
    with browser.new_page() as page:
        html = f"<iframe src='{served.url}dashboard'></iframe>"
        page.route(f"http://{STRANGER}/", lambda route: route.fulfill(body=html, content_type="text/html"))
        with page.expect_console_message(lambda message: "frame-ancestors 'none'" in message.text):
            page.goto(f"http://{STRANGER}/")
        (frame,) = page.main_frame.child_frames
        frame.wait_for_url("chrome-error://chromewebdata/")
        sent = """url => fetch(url, {method: "DELETE"}).then(answer => answer.status, () => "kept away")"""
        assert page.evaluate(sent, f"{served.url}api/studies/1") == "kept away"


def test_a_name_that_was_made_to_point_here_is_told_nothing(served: Served, browser: "sync_api.Browser") -> None:
    with browser.new_page() as page:
        answer = page.goto(served.url.replace("127.0.0.1", STRANGER) + "api/studies")
        assert answer is not None
        assert answer.status == 403
        assert f"does not answer to the name {STRANGER}" in answer.json()["reason"]
