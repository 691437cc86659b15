"""The pages as a WSGI application."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import bottle
from jinja2 import Environment, PackageLoader

from gradstudy.models.optimizer_settings import OPTIMIZERS
from gradstudy.models.tasks.catalogue import TASKS
from gradstudy.scripts.printable import sentence
from gradstudy.scripts.web.headers import Application
from gradstudy.scripts.web.pages.assets import address_of_asset, find_asset
from gradstudy.scripts.web.pages.made_reports import MadeReports
from gradstudy.scripts.web.pages.no_page import NoPageError, why_no_page
from gradstudy.scripts.web.pages.overview import read_overview
from gradstudy.scripts.web.pages.study_page import StudyPages
from gradstudy.scripts.web.pages.study_row import address_of
from gradstudy.storage.database import Database
from gradstudy.storage.workers import living_workers
from gradstudy.study.report.html import templates
from gradstudy.study.spec.study_spec import StudySpec

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data: blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, and no script within a page; figures and their marks have styles of their own."""
HTML = "text/html; charset=UTF-8"
FOR_A_YEAR = "private, max-age=31536000, immutable"
QUICK = 1
"""How hard pages are compressed, of 9."""
LONGEST_NUMBER = 7
ANY_NAME = r"<name:re:[\s\S]+>"


@contextmanager
def pages_application(database: Database, *, writable: bool) -> Iterator[Application]:
    """The pages of a database, which is used by this application alone.

    Args:
        database: that they show.
        writable: whether they offer to launch, stop and extend studies.
    """
    with MadeReports() as reports:
        yield _Pages(database, reports, writable=writable).wsgi


class _Pages(bottle.Bottle):  # type: ignore[misc]
    def __init__(self, database: Database, reports: MadeReports, *, writable: bool) -> None:
        super().__init__()
        self._database, self._writable = database, writable
        self._templates = _environment(writable=writable)
        self._studies = StudyPages(database, self._templates, reports)
        self.get("/", callback=self._answering(self._overview))
        self.get(
            "/studies", callback=lambda: bottle.HTTPResponse(status=int(HTTPStatus.FOUND), headers={"Location": "/"})
        )
        self.get("/studies/", callback=self._answering(self._study))
        self.get(f"/studies/{ANY_NAME}", callback=self._answering(self._study))
        self.get("/assets/<name>", callback=self._answering(self._asset))

    def default_error_handler(self, res: Any) -> Any:
        """What bottle itself refuses."""
        return self._failed(NoPageError(HTTPStatus(res.status_code), "There is nothing at this address."))

    def _answering(self, answer: Callable[..., Any]) -> Callable[..., Any]:
        def answered(**given: str) -> Any:
            try:
                return answer(**given)
            except Exception as error:  # whatever it is, a person wants a page
                return self._failed(why_no_page(error, given.get("name", "")))

        return answered

    def _overview(self) -> Any:
        asked = _asked()
        page, containing = asked.get("page", ""), asked.get("containing", "")
        number = int(page) if page.isascii() and page.isdigit() and len(page) < LONGEST_NUMBER else 1
        overview = read_overview(self._database, containing.replace("\0", ""), number)
        workers = living_workers(self._database.engine)
        html = self._templates.get_template("overview.html").render(
            overview=overview,
            containing=containing,
            workers=workers,
            database=self._database.display_url,
            defaults=StudySpec(name="x"),
            tasks=TASKS,
            optimizers=OPTIMIZERS,
        )
        return _sent(html)

    def _study(self, name: str | None = None) -> Any:
        asked = _asked()
        is_part = "part" in asked
        page = self._studies.find(asked.get("name", "") if name is None else name, waits=not is_part)
        return _sent(page.live if is_part else self._studies.whole(page))

    def _asset(self, name: str) -> Any:
        try:
            asset = find_asset(name)
        except KeyError:
            raise NoPageError(HTTPStatus.NOT_FOUND, "There is nothing at this address.") from None
        return _sent(asset.content, kind=asset.kind, cached=FOR_A_YEAR)

    def _failed(self, failure: NoPageError) -> Any:
        html = self._templates.get_template("failure.html").render(failure=failure)
        return _sent(html, status=failure.status)


def _environment(*, writable: bool) -> Environment:
    """The templates, and what all of them use."""
    environment = templates(PackageLoader("gradstudy.scripts.web.pages"))
    environment.globals |= {
        "asset": address_of_asset,
        "address_of": address_of,
        "sentence": sentence,
        "writable": writable,
    }
    return environment


def _asked() -> dict[str, str]:
    """The fields of the address."""
    query: str = bottle.request.environ.get("QUERY_STRING", "")
    return dict(parse_qsl(query, keep_blank_values=True))


def _sent(
    content: str | bytes, *, kind: str = HTML, status: HTTPStatus = HTTPStatus.OK, cached: str = "private, no-cache"
) -> Any:
    """An answer; without its content where the browser has it."""
    body: Any = content.encode() if isinstance(content, str) else content
    tag = f'W/"{sha256(body).hexdigest()[:20]}"'
    headers = {
        "Content-Type": kind,
        "Content-Security-Policy": POLICY,
        "Cache-Control": cached,
        "ETag": tag,
        "Vary": "Accept-Encoding",
    }
    known = bottle.request.get_header("If-None-Match", "")
    if status is HTTPStatus.OK and tag in (each.strip() for each in known.split(",")):
        return bottle.HTTPResponse(status=int(HTTPStatus.NOT_MODIFIED), headers=headers)
    if "gzip" in bottle.request.get_header("Accept-Encoding", ""):
        body, headers["Content-Encoding"] = gzip.compress(body, QUICK), "gzip"
    return bottle.HTTPResponse(body, int(status), headers)
