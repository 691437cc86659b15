"""Why there is no page, for the person at the browser: a status and a sentence."""

import logging
from http import HTTPStatus

from sqlalchemy.exc import TimeoutError as NoConnectionFreeError

from gradstudy.scripts.printable import sentence
from gradstudy.storage.errors import NotFoundError, StorageError
from gradstudy.storage.user_info import without_user_info
from gradstudy.study.errors import StudyError
from gradstudy.study.patience import UNANSWERED

LOG = logging.getLogger("gradstudy.pages")


class NoPageError(Exception):
    """Why there is no page.

    Attributes:
        status: of the answer.
        is_passing: whether the same address may have a page in a moment.
    """

    def __init__(self, status: HTTPStatus, text: str, *, is_passing: bool = False) -> None:
        """Say it in one sentence."""
        super().__init__(text)
        self.status, self.is_passing = status, is_passing


def why_no_page(error: Exception, name: str) -> NoPageError:
    """What a person is told of an error; of the database's silence and gradstudy's own faults the terminal has more.

    Args:
        error: whichever.
        name: of the study whose page was asked for.
    """
    if isinstance(error, NoPageError):
        return error
    if isinstance(error, NotFoundError):
        return NoPageError(HTTPStatus.NOT_FOUND, f"There is no study “{name}” here; it may have been deleted.")
    if isinstance(error, (*UNANSWERED, NoConnectionFreeError)):
        LOG.warning("the page of study %r waits for the database: %s", name, sentence(without_user_info(str(error))))
        text = "The database does not answer; this page tries again by itself."
        return NoPageError(HTTPStatus.SERVICE_UNAVAILABLE, text, is_passing=True)
    if isinstance(error, (StudyError, StorageError)):
        return NoPageError(HTTPStatus.UNPROCESSABLE_ENTITY, f"There is no report: {sentence(str(error))}.")
    LOG.error("the page of study %r cannot be made: %s", name, sentence(repr(error)))
    text = "This page cannot be made, which is a fault of gradstudy; the server's terminal says more."
    return NoPageError(HTTPStatus.INTERNAL_SERVER_ERROR, text)
