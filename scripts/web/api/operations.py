"""Everything that can be asked of the JSON interface: the server's routes and its document are made from this table."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from gradstudy.scripts.web.api.launching import launch
from gradstudy.scripts.web.api.messages import (
    Extend,
    Launch,
    Launched,
    Nothing,
    ReportForm,
    Studies,
    StudiesPage,
    Study,
    Trials,
    TrialsPage,
)
from gradstudy.scripts.web.api.reading import found, report_of, studies_of, study_of, trials_of
from gradstudy.storage.database import Database
from gradstudy.study.horizon.asked_rungs import asked_rungs
from gradstudy.study.horizon.course import next_rung, set_rungs
from gradstudy.study.horizon.whole_study import delete_whole, stop_whole

FORMS: Mapping[str, str] = {
    "json": "application/json",
    "markdown": "text/markdown; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}
"""The media types of a report."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer to a request that can be answered."""

    status: HTTPStatus = HTTPStatus.OK
    content: bytes
    media_type: str = FORMS["json"]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing that can be asked.

    Attributes:
        method: of HTTP.
        path: below the prefix; ``{name}`` is the name of a study.
        summary: what it does.
        handle: does it, with the database, the name or nothing, and what was asked.
        query: what stands behind the path; None for nothing.
        body: what is sent; None for nothing.
        answer: what is given; None for nothing, or a report.
        statuses: of answers, with what each means.
        is_report: whether a report is given.
    """

    method: str
    path: str
    summary: str
    handle: Callable[[Database, str, Any], Reply]
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    statuses: Mapping[HTTPStatus, str]
    is_report: bool = False

    @property
    def name(self) -> str:
        """For programs that are made from the document."""
        return str(self.handle.__name__).strip("_")


def _list_studies(database: Database, _: str, page: StudiesPage) -> Reply:
    return _message(studies_of(database, page.offset, page.limit))


def _launch_study(database: Database, _: str, asked: Launch) -> Reply:
    launched = launch(database, asked)
    return _message(launched, HTTPStatus.CREATED if launched.is_new else HTTPStatus.OK)


def _read_study(database: Database, name: str, _: None) -> Reply:
    return _message(study_of(database, found(database, name)))


def _delete_study(database: Database, name: str, _: None) -> Reply:
    delete_whole(database, found(database, name))
    return Reply(status=HTTPStatus.NO_CONTENT, content=b"")


def _stop_study(database: Database, name: str, _: Nothing) -> Reply:
    stop_whole(database, found(database, name))
    return _message(study_of(database, found(database, name)))


def _extend_study(database: Database, name: str, asked: Extend) -> Reply:
    study = found(database, name)
    set_rungs(database, study, asked_rungs(database, study, asked.steps, asked.top, asked.runs))
    next_rung(database, study)  # what is wrong with it is said now
    return _message(study_of(database, study))


def _read_trials(database: Database, name: str, page: TrialsPage) -> Reply:
    return _message(trials_of(database, found(database, name), page.after, page.limit))


def _read_report(database: Database, name: str, asked: ReportForm) -> Reply:
    return Reply(content=report_of(database, name, asked.format, asked.width), media_type=FORMS[asked.format])


OPERATIONS = (
    Operation(
        method="GET",
        path="/studies",
        summary="List the studies, a page at a time.",
        handle=_list_studies,
        query=StudiesPage,
        answer=Studies,
        statuses={HTTPStatus.OK: "a page of them"},
    ),
    Operation(
        method="POST",
        path="/studies",
        summary="Launch a study, or open the one that has this spec; the server's workers run it.",
        handle=_launch_study,
        body=Launch,
        answer=Launched,
        statuses={HTTPStatus.CREATED: "it was made", HTTPStatus.OK: "it was there, with the same spec"},
    ),
    Operation(
        method="GET",
        path="/studies/{name}",
        summary="Say how far a study is.",
        handle=_read_study,
        answer=Study,
        statuses={HTTPStatus.OK: "the study"},
    ),
    Operation(
        method="DELETE",
        path="/studies/{name}",
        summary="Delete a study and everything of it, its longer and confirming runs, too.",
        handle=_delete_study,
        statuses={HTTPStatus.NO_CONTENT: "it is gone"},
    ),
    Operation(
        method="POST",
        path="/studies/{name}/stop",
        summary="End a study for good: no further trial begins, and those that have begun are trained to their end.",
        handle=_stop_study,
        body=Nothing,
        answer=Study,
        statuses={HTTPStatus.OK: "the study as it is now"},
    ),
    Operation(
        method="POST",
        path="/studies/{name}/extend",
        summary="Have the best settings of a study trained longer.",
        handle=_extend_study,
        body=Extend,
        answer=Study,
        statuses={HTTPStatus.OK: "the study with its way"},
    ),
    Operation(
        method="GET",
        path="/studies/{name}/trials",
        summary="Read trials by number, a page at a time: rows of the view trial_result.",
        handle=_read_trials,
        query=TrialsPage,
        answer=Trials,
        statuses={HTTPStatus.OK: "a page of them"},
    ),
    Operation(
        method="GET",
        path="/studies/{name}/report",
        summary="Read the report of a study: the answer, what it rests on, the tables.",
        handle=_read_report,
        query=ReportForm,
        statuses={HTTPStatus.OK: "the report"},
        is_report=True,
    ),
)


def _message(message: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    return Reply(status=status, content=json.dumps(message.model_dump(mode="json"), allow_nan=False).encode())
