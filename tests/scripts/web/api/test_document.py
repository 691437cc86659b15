"""The OpenAPI document: valid for a validator of others', and true of what the server answers."""

from collections.abc import Iterator
from typing import Any

import pytest
from api_server import TINY, ApiServer, api_server
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from gradstudy.scripts.web.api.openapi import openapi


@pytest.fixture
def server(sqlite_url: str) -> Iterator[ApiServer]:
    with api_server(sqlite_url) as server:
        yield server


def check(document: dict[str, Any], schema: dict[str, Any], instance: Any) -> None:
    """Raise ValidationError unless the instance is as the document says."""
    Draft202012Validator({**schema, "components": document["components"]}).validate(instance)


def test_the_document_is_openapi() -> None:
    OpenAPIV31SpecValidator(openapi()).validate()


def test_the_server_gives_the_document(server: ApiServer) -> None:
    assert server.ask("GET", "/openapi.json").json == openapi()


def test_every_answer_is_as_the_document_says(server: ApiServer) -> None:
    document = openapi()
    asked = [
        ("POST", "/studies", "/studies", {"spec": {"name": "mine", **TINY}, "enqueue": []}),
        ("POST", "/studies", "/studies", {"spec": {"name": "mine"}}),
        ("POST", "/studies", "/studies", {"spec": {"name": "a b"}}),
        ("GET", "/studies", "/studies", None),
        ("GET", "/studies/{name}", "/studies/mine", None),
        ("GET", "/studies/{name}", "/studies/other", None),
        ("GET", "/studies/{name}/trials", "/studies/mine/trials", None),
        ("GET", "/studies/{name}/trials", "/studies/mine/trials?limit=0", None),
        ("GET", "/studies/{name}/report", "/studies/mine/report", None),
        ("POST", "/studies/{name}/extend", "/studies/mine/extend", {"steps": 100}),
        ("POST", "/studies/{name}/stop", "/studies/mine/stop", {}),
        ("DELETE", "/studies/{name}", "/studies/mine", None),
    ]
    seen = set()
    for method, path, target, body in asked:
        operation = document["paths"][f"/api/v1{path}"][method.lower()]
        if body is not None and target != "/studies":
            check(document, operation["requestBody"]["content"]["application/json"]["schema"], body)
        told = server.ask(method, target, body)
        seen.add((method, path))
        described = operation["responses"][str(told.status)]
        if "content" in described:
            check(document, described["content"]["application/json"]["schema"], told.json)
        else:
            assert told.body == b""
    described_paths = document["paths"].items()
    known = {(m.upper(), path.removeprefix("/api/v1")) for path, methods in described_paths for m in methods}
    assert seen == known


def test_a_spec_as_it_is_stored_is_a_spec_of_the_document(server: ApiServer) -> None:
    stored = server.ask("POST", "/studies", {"spec": {"name": "mine", **TINY}}).json["study"]["spec"]
    document = openapi()
    check(document, {"$ref": "#/components/schemas/Launch"}, {"spec": stored})
    assert server.ask("POST", "/studies", {"spec": stored}).status == 200
