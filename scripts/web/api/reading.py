"""Studies, trials and reports as the JSON interface gives them."""

from http import HTTPStatus
from typing import Any

from gradstudy.scripts.output.report_content import report_content
from gradstudy.scripts.web.api.errors import RequestError
from gradstudy.scripts.web.api.how_far import how_far
from gradstudy.scripts.web.api.messages import Form, Studies, Study, Trials
from gradstudy.storage.database import Database
from gradstudy.storage.errors import NotFoundError, PlainStudyError, StudyDeletedError
from gradstudy.storage.frames import read_trials
from gradstudy.storage.json_values import json_value
from gradstudy.storage.studies import StudyRecord, find_study, list_studies
from gradstudy.study.opened_study import open_study
from gradstudy.study.spec.study_spec import stored_values


def found(database: Database, name: str) -> StudyRecord:
    """The study of a name that gradstudy launched; raises RequestError."""
    _check_name(name)
    try:
        return find_study(database, name)
    except PlainStudyError:
        raise RequestError(
            HTTPStatus.CONFLICT,
            f"study {name!r} was launched by another program: only its report can be asked for",
        ) from None
    except NotFoundError:
        raise no_study(name) from None


def no_study(name: str) -> RequestError:
    """What is said where there is none of a name."""
    return RequestError(HTTPStatus.NOT_FOUND, f"there is no study {name!r}")


def study_of(database: Database, record: StudyRecord) -> Study:
    """A study with its spec."""
    return how_far(database, [record])[0].model_copy(update={"spec": json_value(stored_values(record))})


def studies_of(database: Database, offset: int, limit: int) -> Studies:
    """A page of the studies."""
    records = list_studies(database)
    page = records[offset : offset + limit]
    following = offset + len(page)
    return Studies(
        studies=how_far(database, page),
        total=len(records),
        next=following if page and following < len(records) else None,
    )


def trials_of(database: Database, record: StudyRecord, after: int, limit: int) -> Trials:
    """A page of the trials."""
    frame = read_trials(database, record.name, excluded=True, after=after, most=limit + 1)
    has_more = len(frame) > limit
    rows = frame.head(limit).astype(object)
    rows = rows.where(rows.notna(), None)
    trials = [{str(name): _plain(value) for name, value in row.items()} for row in rows.to_dict("records")]
    return Trials(study=record.name, trials=trials, next=trials[-1]["number"] if has_more else None)


def report_of(database: Database, name: str, form: Form, width: int) -> bytes:
    """The report of a study, also of one of another program; raises RequestError where there is none."""
    _check_name(name)
    try:
        with open_study(name, database.url.render_as_string(hide_password=False)) as study:
            return report_content(study, study.summary(), form, width)
    except StudyDeletedError:
        raise
    except NotFoundError:
        raise no_study(name) from None


def _check_name(name: str) -> None:
    if not name.isprintable():  # a database may not take it
        raise no_study(name)


def _plain(value: Any) -> Any:
    """A value of a frame as JSON has it."""
    return value.isoformat() if hasattr(value, "isoformat") else json_value(value)
