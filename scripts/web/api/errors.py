"""What goes wrong with a request, as a status and a sentence; nothing of the server's own is told."""

import logging
import os
from http import HTTPStatus

from sqlalchemy.exc import TimeoutError as NoConnectionFreeError

from gradstudy.models.tasks.errors import TaskError
from gradstudy.scripts.exit_codes import DEBUG_VARIABLE
from gradstudy.scripts.printable import sentence
from gradstudy.storage.errors import StorageError, StudyDeletedError, StudyExistsError, UnavailableError
from gradstudy.study.errors import NothingToExtendError, SpecChangedError, StudyError
from gradstudy.study.patience import UNANSWERED

LONGEST = 2000
"""Letters of a sentence: it repeats what was given."""
LOG = logging.getLogger("gradstudy.api")


class RequestError(Exception):
    """A request that is refused.

    Attributes:
        status: of the answer.
        headers: of the answer.
    """

    def __init__(self, status: HTTPStatus, text: str, **headers: str) -> None:
        """Refuse with one sentence."""
        super().__init__(text)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def as_request_error(error: BaseException, asked: str) -> RequestError:
    """What whoever asked is told of an error; of one that is the server's own, the server's log has more.

    Args:
        error: whichever.
        asked: method and path.
    """
    if isinstance(error, RequestError):
        return RequestError(error.status, _short(str(error)), **error.headers)
    if isinstance(error, StudyDeletedError):
        return RequestError(HTTPStatus.NOT_FOUND, "the study was deleted in this moment")
    if isinstance(error, (SpecChangedError, NothingToExtendError)):
        return RequestError(HTTPStatus.CONFLICT, _short(str(error)))
    if isinstance(error, StudyExistsError):
        return RequestError(
            HTTPStatus.CONFLICT, "there is a study of that name already, which gradstudy did not launch"
        )
    if isinstance(error, (StudyError, TaskError)):
        return RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, _short(str(error)))
    LOG.error("%s: %s", sentence(asked), sentence(repr(error)), exc_info=bool(os.environ.get(DEBUG_VARIABLE)))
    if isinstance(error, (UnavailableError, NoConnectionFreeError, *UNANSWERED)):
        return RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer; try again", Retry_After="5")
    if isinstance(error, StorageError):
        return RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "the server's database cannot be used; the server says why")
    return RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed at this, which is its fault; it says more")


def _short(text: str) -> str:
    text = sentence(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
