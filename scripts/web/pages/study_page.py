"""The page of a study: how far it is, and the report of what has ended."""

from dataclasses import dataclass
from functools import partial

from jinja2 import Environment, Template

from gradstudy.scripts.web.pages.made_reports import MadeReport, MadeReports
from gradstudy.scripts.web.pages.study_row import StudyRow, read_rows
from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError, PlainStudyError
from gradstudy.storage.studies import StudyRecord, find_study
from gradstudy.storage.transactions import reading
from gradstudy.storage.workers import living_workers
from gradstudy.study.integrations.plain_study import PlainStudy
from gradstudy.study.integrations.reading import Reading
from gradstudy.study.report.html import drawn, html_report, read_drawn_steps
from gradstudy.study.report.report import read_report
from gradstudy.study.report.report_version import plain_report_version, report_version

PATIENCE_SECONDS = 0.6
"""How long a browser waits for a report before it is shown the one of before, or that it is being made."""
PLACE = "<!-- how far it is -->"
"""In the template, where what changes without a new report is put in."""


@dataclass(frozen=True)
class StudyPage:
    """What the page of a study shows.

    Attributes:
        name: of the study.
        live: the HTML that says how far it is.
        report: None as long as none is made.
    """

    name: str
    live: str
    report: MadeReport | None


class StudyPages:
    """The pages of the studies of a database."""

    def __init__(self, database: Database, templates: Environment, reports: MadeReports) -> None:
        """Make pages from templates, and keep reports."""
        self._database, self._templates, self._reports = database, templates, reports

    def find(self, name: str, *, waits: bool) -> StudyPage:
        """The page of a study.

        Args:
            name: of the study.
            waits: whether to wait a moment for a report that is being made.

        Raises:
            NotFoundError: there is no such study.
            UnreadableStudyError: another program made it, and what its parameters are cannot be told.
            UnavailableError: the database does not answer.
        """
        if "\0" in name:  # which no database looks for
            raise NotFoundError(f"there is no study {name!r}")
        patience = PATIENCE_SECONDS if waits else 0.0
        try:
            record = find_study(self._database, name)
        except PlainStudyError:
            version = plain_report_version(self._database, name)
            report = self._reports.get(f"plain {name}", version, partial(self._make_of_plain, name), patience)
            return StudyPage(name, self._live(None, name, report, version), report)
        version = report_version(self._database, record)
        report = self._reports.get(record.identity, version, partial(self._make, record), patience)
        with reading(self._database.engine) as connection:
            (row,) = read_rows(connection, [record])
        return StudyPage(name, self._live(row, name, report, version), report)

    def whole(self, page: StudyPage) -> str:
        """The HTML of a page."""
        if page.report is None:
            return self._templates.get_template("report_to_come.html").render(name=page.name, live=page.live)
        before, after = page.report.page
        return before + page.live + after

    def _live(self, row: StudyRow | None, name: str, report: MadeReport | None, version: str) -> str:
        workers = living_workers(self._database.engine)
        return self._templates.get_template("how_far.html").render(
            row=row, name=name, report=report, version=version, workers=workers
        )

    def _make(self, record: StudyRecord) -> tuple[str, tuple[str, str]]:
        version = report_version(self._database, record)
        report = read_report(self._database, record.name)
        return version, self._page(html_report(report, read_drawn_steps(self._database, report), self._template()))

    def _make_of_plain(self, name: str) -> tuple[str, tuple[str, str]]:
        version = plain_report_version(self._database, name)
        study = PlainStudy(name, self._database.url.render_as_string(hide_password=False), Reading())
        report = study.report()
        return version, self._page(html_report(report, study.steps(*drawn(report)), self._template()))

    def _template(self) -> Template:
        return self._templates.get_template("study.html")

    @staticmethod
    def _page(html: str) -> tuple[str, str]:
        before, _, after = html.partition(PLACE)
        return before, after
