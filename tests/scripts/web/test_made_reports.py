"""What is shown while a report is made."""

import threading
from collections.abc import Iterator

import pytest

from gradstudy.scripts.web.pages import made_reports
from gradstudy.scripts.web.pages.made_reports import MadeReports

LONG = 60.0


@pytest.fixture
def reports() -> Iterator[MadeReports]:
    with MadeReports() as reports:
        yield reports


def test_a_report_is_made_once_for_each_version(reports: MadeReports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_reports, "REST", 0.0)
    made: list[str] = []

    def make(version: str) -> str:
        report = reports.get("s", version, lambda: (version, (made.append(version) or version, "")), LONG)
        assert report is not None
        return report.page[0]

    assert [make("1"), make("1"), make("2"), make("2")] == ["1", "1", "2", "2"]
    assert made == ["1", "2"]


def test_the_one_of_before_is_shown_meanwhile(reports: MadeReports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_reports, "REST", 0.0)
    may_end = threading.Event()

    def slowly(version: str) -> tuple[str, tuple[str, str]]:
        assert may_end.wait(LONG)
        return version, (version, "")

    assert reports.get("s", "1", lambda: slowly("1"), 0) is None
    may_end.set()
    first = reports.get("s", "1", lambda: slowly("1"), LONG)
    may_end.clear()
    assert first is not None
    assert reports.get("s", "2", lambda: slowly("2"), 0) is first
    may_end.set()
    second = reports.get("s", "2", lambda: slowly("2"), LONG)
    assert second is not None
    assert second.version == "2"


def test_a_new_one_is_not_begun_right_after_one_was_made(reports: MadeReports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_reports, "REST", 1e9)
    first = reports.get("s", "1", lambda: ("1", ("", "")), LONG)
    assert reports.get("s", "2", lambda: pytest.fail("it was begun"), LONG) is first


def test_what_goes_wrong_is_raised_and_tried_again(reports: MadeReports) -> None:
    def fail() -> tuple[str, tuple[str, str]]:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            reports.get("s", "1", fail, LONG)
    assert reports.get("s", "1", lambda: ("1", ("", "")), LONG) is not None


def test_those_that_nobody_asks_for_are_forgotten(reports: MadeReports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_reports, "MOST_PAGES", 2)
    made: list[str] = []

    def get(key: str) -> None:
        reports.get(key, "1", lambda: ("1", (made.append(key) or "", "")), LONG)

    for key in ("a", "b", "a", "c", "a", "b"):
        get(key)
    assert made == ["a", "b", "c", "b"]
