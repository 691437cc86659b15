"""The pages of the service, asked without a browser, on a study that has run."""

import gzip
import re
from collections.abc import Callable, Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import optuna
import pytest
from plain_programs import returns_nan
from waiting import until
from wsgi_client import Reply, get

from gradstudy.scripts.web.api.how_far import RECORDED, how_far
from gradstudy.scripts.web.pages.application import pages_application
from gradstudy.scripts.web.pages.overview import STUDIES_OF_A_PAGE
from gradstudy.scripts.web.pages.study_row import address_of
from gradstudy.storage.database import Database
from gradstudy.storage.exclusion import exclude_trials, include_trials
from gradstudy.storage.progress import count_outcomes
from gradstudy.storage.studies import delete_study, find_study
from gradstudy.study.integrations import record_run
from gradstudy.study.launch import create_or_resume
from gradstudy.study.report import sentences
from gradstudy.study.report.dashboard.content import write_content
from gradstudy.study.report.report import read_report
from gradstudy.study.spec.study_spec import StudySpec

Ask = Callable[..., Reply]
NAMES = [
    "a/b",
    "/",
    "x/",
    "..",
    ".",
    "a b?c#d%2f&e",
    "<script>alert(1)</script>",
    "größe 大",
    "q\"uote's",
    "two\nlines",
    "..%2f",
]


@pytest.fixture
def ask(finished: Database) -> Iterator[Ask]:
    """Ask for a page, as whoever may change something."""
    with (
        Database.open(finished.url.render_as_string(hide_password=False)) as own,
        pages_application(own, writable=True) as pages,
    ):
        yield lambda target, **given: get(pages, target, **given)


def report_of(ask: Ask, name: str) -> Reply:
    """The page of a study, once there is a report on it."""
    replies: list[Reply] = []

    def has_report() -> bool:
        replies.append(ask(address_of(name)))
        return 'id="figures"' in replies[-1].text or replies[-1].status != 200

    until(has_report)
    return replies[-1]


class Links(HTMLParser):
    """What a page refers to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in {"href", "src", "action"} and value is not None]


def test_the_first_page_says_how_far_a_study_is_and_its_answer_once_that_is_known(ask: Ask, finished: Database) -> None:
    page = ask("/").text
    outcomes = read_report(finished, "s").outcomes
    assert '<a href="/studies/s"' in page
    assert "8</strong> of 8 trials" in page
    for outcome, count in outcomes.items():
        assert f"{count} {outcome}" in page
    assert "—" in page
    record = find_study(finished, "s")
    write_content(finished, record, count_outcomes(finished.engine, record), "")
    page = ask("/").text
    assert unescape(sentences.setting(read_report(finished, "s"))) in unescape(page)
    assert "—" not in page


def test_the_page_of_a_study_is_its_report(ask: Ask, finished: Database) -> None:
    report, page = read_report(finished, "s"), report_of(ask, "s")
    assert page.status == 200
    shown = unescape(page.text).replace("<code>", "`").replace("</code>", "`")
    for text in (sentences.setting(report), sentences.title(report), *sentences.evidence(report), *report.caveats):
        assert text in shown
    assert 'id="map-lstm-norm' in page.text


def test_a_page_is_sent_again_only_when_something_has_changed(ask: Ask, finished: Database) -> None:
    page = report_of(ask, "s")
    known = ask("/studies/s", IF_NONE_MATCH=page.headers["etag"])
    assert (known.status, known.body) == (304, b"")
    record = find_study(finished, "s")
    exclude_trials(finished, record, [0], "a bad disk")
    assert "1 excluded" in ask("/studies/s", IF_NONE_MATCH=page.headers["etag"]).text
    until(lambda: "a bad disk" in ask("/studies/s").text)
    include_trials(finished, record, [0])
    until(lambda: ask("/studies/s", IF_NONE_MATCH=page.headers["etag"]).status == 304)
    assert re.search(r"Written by gradstudy [^ ]+\.</p>", page.text)  # without the time, which would be a change


def test_nothing_comes_from_elsewhere_and_no_script_is_within_a_page(ask: Ask) -> None:
    for page in (ask("/"), report_of(ask, "s"), ask("/studies/nobody")):
        policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
        assert (policy["default-src"], policy["script-src"]) == ("'none'", "'self'")
        links = Links(page.text).found
        assert links
        assert all(re.match(r"/(?!/)|data:,|#", link) for link in links)
        assert all(ask(link).status == 200 for link in links if link.startswith("/assets/"))
        assert re.findall(r"<script(?![^>]* src=)(?![^>]*application/json)", page.text) == []


def test_pages_are_compressed_for_those_who_take_it(ask: Ask) -> None:
    page = ask("/", ACCEPT_ENCODING="gzip, deflate, br")
    assert page.headers["content-encoding"] == "gzip"
    assert gzip.decompress(page.body) == ask("/").body


@pytest.mark.sampled
@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_letters_have_a_page(ask: Ask, finished: Database, name: str) -> None:
    url = finished.url.render_as_string(hide_password=False)
    optuna.create_study(study_name=name, storage=url).optimize(returns_nan, n_trials=6)
    first = ask("/")
    assert "<script>alert" not in first.text
    (link,) = [link for link in Links(first.text).found if link.startswith("/studies/") and link != "/studies/s"]
    page = report_of(ask, name)
    assert ask(link).text == page.text
    assert page.status == 200
    assert f"<h1>{name}</h1>" in unescape(page.text)
    assert "<script>alert" not in page.text


def test_what_there_is_not_is_said_in_a_sentence(ask: Ask) -> None:
    assert "There is no study “no&lt;/p&gt;body” here" in ask("/studies/no%3C%2Fp%3Ebody").text
    for target in ("/studies/nobody", "/studies/s/", "/studies/%00", "/studies/%ff", "/studies/?name=", "/assets/x"):
        assert ask(target).status == 404
    assert ask("/studies").headers["location"].endswith("/")
    assert ask("/", method="DELETE").status == 405


def test_a_study_that_is_deleted_has_no_page_any_more(ask: Ask, finished: Database) -> None:
    report_of(ask, "s")
    delete_study(finished, "s")
    assert ask("/studies/s").status == 404
    assert "There are no studies yet" in ask("/").text


def test_a_database_that_is_away_is_said_and_asked_again(
    ask: Ask, finished: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with finished.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE gradstudy_study RENAME TO elsewhere")
    for target in ("/", "/studies/s"):
        page = ask(target)
        assert page.status == 503
        assert "The database does not answer" in page.text
        assert '<meta http-equiv="refresh"' in page.text
    waits = [each for each in caplog.messages if "waits for the database" in each]
    assert len(waits) == 2
    assert all("no such table: gradstudy_study" in each for each in waits)
    with finished.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO gradstudy_study")
    assert ask("/").status == 200


def test_a_study_that_cannot_be_read_says_why(ask: Ask, finished: Database) -> None:
    study = optuna.create_study(study_name="x", storage=finished.url.render_as_string(hide_password=False))
    study.optimize(lambda trial: trial.suggest_float("depth", 0, 1), n_trials=3)
    page = report_of(ask, "x")
    assert page.status == 422
    assert "There is no report: " in page.text
    assert "depth" in page.text


def test_a_study_in_which_nothing_has_ended_has_a_page(ask: Ask, finished: Database) -> None:
    create_or_resume(finished, StudySpec(name="new", task="copy", trials=12))
    page = report_of(ask, "new")
    assert page.status == 200
    assert "0</strong> of 12 trials" in page.text
    assert "nothing has ended yet" in page.text


def test_open_studies_come_first_and_a_page_has_its_share_of_them(ask: Ask, finished: Database) -> None:
    for number in range(STUDIES_OF_A_PAGE + 3):
        create_or_resume(finished, StudySpec(name=f"one-{number}", task="copy", trials=1))
    first, second = ask("/").text, ask("/?page=2").text
    names = re.findall(r'<h3><a href="/studies/([^"]+)"', first + second)
    assert names == [*(f"one-{number}" for number in reversed(range(STUDIES_OF_A_PAGE + 3))), "s"]
    assert first.count("<h3>") == STUDIES_OF_A_PAGE
    assert "Page 1 of 2" in first
    assert "54 studies, 53 open" in first
    for page in ("0", "-1", "9" * 40, "x", "²"):
        assert "<h3>" in ask(f"/?page={page}").text
    assert re.findall(r'<h3><a href="/studies/([^"]+)"', ask("/?containing=ONE-52").text) == ["one-52"]
    assert "No study has “%&lt;_” in its name" in ask("/?containing=%25%3C_").text


def test_only_a_writable_service_offers_to_change_something(finished: Database, folder: Path) -> None:
    create_or_resume(finished, StudySpec(name="new", task="copy", trials=1))
    for writable in (True, False):
        with (
            Database.open("sqlite:///gradstudy.db") as own,
            pages_application(own, writable=writable) as pages,
        ):
            page = report_of(lambda target, pages=pages, **given: get(pages, target, **given), "new")
            assert ("data-post" in get(pages, "/").text) is writable
            assert ("data-post" in page.text) is writable


def test_runs_that_their_own_programs_record_are_shown_as_others_are(ask: Ask, finished: Database) -> None:
    url = finished.url.render_as_string(hide_password=False)
    with record_run(
        "mine", storage=url, learning_rate=0.1, strategy="norm", threshold=1.0, cell="lstm", steps=3
    ) as run:
        for loss in (2.0, 1.0, 0.5):
            run.step(loss, grad_norm=1.0)
    page = ask("/")
    assert page.status == 200
    assert "runs that their own programs record" in page.text
    assert "1 of 1 trials" in page.text
    assert "mine" in report_of(ask, "mine").text
    (told,) = how_far(finished, [find_study(finished, "mine")])
    assert (told.task, told.is_open, sum(told.trials.values())) == (RECORDED, False, 1)
