"""The document of the JSON interface: OpenAPI 3.1, made from its operations and messages."""

from collections.abc import Iterator
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gradstudy.scripts.web.api.messages import PREFIX, Failure, Launch
from gradstudy.scripts.web.api.operations import FORMS, OPERATIONS, Operation
from gradstudy.study.spec.study_spec import StudySpec

JSON = FORMS["json"]
WRONG = {
    HTTPStatus.BAD_REQUEST: "this is no request, or its body is not JSON",
    HTTPStatus.UNAUTHORIZED: "a password is needed, or is another one",
    HTTPStatus.FORBIDDEN: "the server is read-only, or does not take what was named",
    HTTPStatus.NOT_FOUND: "there is no such study",
    HTTPStatus.CONFLICT: "the study is not as it would have to be",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is too long",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "the body is not said to be JSON",
    HTTPStatus.UNPROCESSABLE_ENTITY: "a value is not accepted",
    HTTPStatus.TOO_MANY_REQUESTS: "there were too many wrong passwords",
    HTTPStatus.SERVICE_UNAVAILABLE: "the database does not answer",
}


def openapi() -> dict[str, Any]:
    """The document, as JSON holds it."""
    messages = {model for operation in OPERATIONS for model in (operation.body, operation.answer) if model}
    models: set[type[BaseModel]] = {*messages, Failure, StudySpec}
    _, schemas = models_json_schema(
        [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)],
        ref_template="#/components/schemas/{model}",
    )
    parts = schemas["$defs"]
    parts[Launch.__name__]["properties"]["spec"] = {
        "anyOf": [_reference(StudySpec), {"type": "null"}],
        "description": "the fields of a spec; a name alone opens its study",
    }
    parts[StudySpec.__name__]["required"] = []  # a preset brings its own name
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(f"{PREFIX}{operation.path}", {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gradstudy",
            "version": version("gradstudy"),
            "summary": "Studies of what keeps an LSTM or GRU seq2seq model from diverging.",
        },
        "paths": paths,
        "components": {"schemas": parts, "securitySchemes": {"password": {"type": "http", "scheme": "basic"}}},
        "security": [{"password": []}, {}],
    }


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": list(_parameters(operation)),
        "responses": {str(status.value): answer for status, answer in _answers(operation)},
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": _reference(operation.body)}}}
    return described


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    if "{name}" in operation.path:
        yield {
            "name": "name",
            "in": "path",
            "required": True,
            "description": "of the study",
            "schema": {"type": "string"},
        }
    if operation.query is not None:
        for name, schema in operation.query.model_json_schema()["properties"].items():
            kept = {key: value for key, value in schema.items() if key not in ("title", "description")}
            yield {"name": name, "in": "query", "description": schema["description"], "schema": kept}


def _answers(operation: Operation) -> Iterator[tuple[HTTPStatus, dict[str, Any]]]:
    for status, meaning in operation.statuses.items():
        answer: dict[str, Any] = {"description": meaning}
        if operation.answer is not None:
            answer["content"] = {JSON: {"schema": _reference(operation.answer)}}
        elif operation.is_report:
            kinds = {form: {"type": "object" if form == "json" else "string"} for form in FORMS}
            answer["content"] = {FORMS[form].partition(";")[0]: {"schema": kinds[form]} for form in FORMS}
        yield status, answer
    for status, meaning in WRONG.items():
        yield status, {"description": meaning, "content": {JSON: {"schema": _reference(Failure)}}}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
