"""What is given to browsers, with protecting headers, and without tracebacks on the terminal."""

import io
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gradstudy.scripts.web.headers import PROTECTING, Application, Environ, StartResponse
from gradstudy.scripts.web.routes import routed

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from gradstudy.storage.database import Database

LOGGER = "optuna_dashboard._bottle_util"
"""Where optuna-dashboard says what it could not answer, with a traceback."""


@contextmanager
def service_application(database: "Database", storage: "BaseStorage", *, writable: bool) -> Iterator[Application]:
    """The pages and the JSON interface of a database, and optuna-dashboard on a storage of it.

    Args:
        database: that both show; used by this application alone.
        storage: that optuna-dashboard shows.
        writable: whether pages offer to change something.
    """
    import optuna_dashboard

    from gradstudy.scripts.web.api.application import api_application
    from gradstudy.scripts.web.api.messages import PREFIX
    from gradstudy.scripts.web.pages.application import pages_application

    logging.getLogger(LOGGER).addFilter(_first_line)
    with pages_application(database, writable=writable) as pages:
        of_pages: dict[str, Application] = dict.fromkeys(("/", "/studies", "/assets"), pages)
        own = {PREFIX: api_application(database), **of_pages}
        yield protected(routed(own, optuna_dashboard.wsgi(storage)))


def protected(application: Application) -> Application:
    """WSGI middleware that adds ``PROTECTING`` to every answer and mends what optuna-dashboard asks of a request."""

    def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, *PROTECTING], *error)

        environ.setdefault("HTTP_ACCEPT_ENCODING", "identity")  # it fails without
        environ["wsgi.errors"] = io.StringIO()  # for tracebacks; the answer says that there was an error
        return application(environ, start)

    return answer


def _first_line(record: logging.LogRecord) -> bool:
    record.msg = ascii(str(record.msg).partition("\n")[0])
    return True
