"""The JSON interface as a WSGI application."""

import json
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

import bottle
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from gradstudy.scripts.web.api.errors import RequestError, as_request_error
from gradstudy.scripts.web.api.messages import PREFIX
from gradstudy.scripts.web.api.openapi import openapi
from gradstudy.scripts.web.api.operations import FORMS, OPERATIONS, Operation, Reply
from gradstudy.scripts.web.headers import Application
from gradstudy.storage.database import Database
from gradstudy.study.spec.error_sentence import error_sentence

Message = TypeVar("Message", bound=BaseModel)
DOCUMENT = f"{PREFIX}/openapi.json"


def api_application(database: Database) -> Application:
    """The JSON interface of a database; the gate has let in whoever asks.

    What a spec may name is what this process may import, see ``gradstudy.models.user_module.trusted``.
    """
    routes = _Routes()
    routes.get(DOCUMENT, callback=partial(_answered, _document))
    for operation in OPERATIONS:
        # Studies of other programs, of which there are reports, may have any name.
        name = "<name:path>" if operation.is_report else "<name>"
        handle = partial(_answered, partial(_handled, database, operation))
        routes.route(PREFIX + operation.path.replace("{name}", name), operation.method, handle)
    application: Application = routes.wsgi
    return application


class _Routes(bottle.Bottle):  # type: ignore[misc]
    """bottle's, which says in JSON what it has no route for."""

    def default_error_handler(self, res: Any) -> Any:
        asked, status = bottle.request, HTTPStatus(res.status_code)
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = res.headers["Allow"]
            text = (
                f"{asked.method} is nothing that can be asked of {asked.path!r}; it takes {allowed.replace(',', ', ')}"
            )
            return _failed(RequestError(status, text, Allow=allowed))
        if status is HTTPStatus.NOT_FOUND:
            return _failed(
                RequestError(status, f"there is nothing at {asked.path!r}; GET {DOCUMENT} says what there is")
            )
        return _failed(RequestError(status, "this is no request that can be read"))


def _answered(handle: Callable[..., Reply], **given: str) -> Any:
    """The answer, or why there is none."""
    request, response = bottle.request, bottle.response
    try:
        reply = handle(**given)
    except (Exception, SystemExit) as error:  # a user's function may end what calls it
        return _failed(as_request_error(error, f"{request.method} {request.path}"))
    response.status = reply.status.value
    response.content_type = reply.media_type
    response.set_header("Cache-Control", "no-store")
    return reply.content


def _failed(fault: RequestError) -> bytes:
    response = bottle.response
    response.status = fault.status.value
    response.content_type = FORMS["json"]
    for name, value in fault.headers.items():
        response.set_header(name, value)
    return json.dumps({"error": str(fault)}).encode()


def _document() -> Reply:
    return Reply(content=json.dumps(openapi(), indent=1).encode())


def _handled(database: Database, operation: Operation, name: str = "") -> Reply:
    asked: BaseModel | None = None
    if operation.body is not None:
        asked = _body(operation.body)
    elif operation.query is not None:
        asked = _query(operation.query)
    return operation.handle(database, name, asked)


def _query(kind: type[Message]) -> Message:
    query: Any = bottle.request.query
    try:
        given = query.decode()
    except UnicodeDecodeError:
        raise RequestError(HTTPStatus.BAD_REQUEST, "the query is not text in UTF-8") from None
    for name in given:
        if len(given.getall(name)) > 1:
            raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} is given {len(given.getall(name))} times")
    return _checked(kind, dict(given), "the query", strict=False)


def _body(kind: type[Message]) -> Message:
    """The body of a request that says that it is JSON: a form of another site cannot say so."""
    request: Any = bottle.request
    if request.content_type.partition(";")[0].strip().lower() != "application/json":
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a request with a body needs Content-Type: application/json"
        )
    sent = request.body.read()
    try:
        given = from_json(sent, allow_inf_nan=False) if sent.strip() else {}
    except ValueError as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, "the body must be a JSON object")
    return _checked(kind, given, "the body", strict=True)


def _checked(kind: type[Message], given: dict[str, Any], what: str, *, strict: bool) -> Message:
    try:
        return kind.model_validate(given, strict=strict)
    except ValidationError as error:
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, error_sentence(error, kind, what)) from None
