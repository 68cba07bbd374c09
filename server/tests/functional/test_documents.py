"""OpenAPI and AsyncAPI describe what goes over the wire."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import openapi_spec_validator
import pytest
from zaqarserver.operations import OPERATIONS

from zaqarclient.tests.samples import find_sample

EXTENSIONS = Path(__file__).parents[3] / "doc/source/_ext"
ROWS = {row.name: row for row in OPERATIONS}


@pytest.fixture(scope="module")
def documents() -> Any:
    sys.path.insert(0, str(EXTENSIONS))
    try:
        return importlib.import_module("zaqar_documents").documents()
    finally:
        sys.path.remove(str(EXTENSIONS))


@pytest.fixture(scope="module")
def rest(documents: Any) -> Any:
    return documents["openapi.json"]


@pytest.fixture(scope="module")
def frames(documents: Any) -> Any:
    return documents["asyncapi.json"]


def resolve(document: Any, reference: str) -> Any:
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


def references(part: Any) -> Any:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    for inner in part if isinstance(part, list) else ():
        yield from references(inner)


def test_the_rest_document_is_valid_openapi(rest):
    openapi_spec_validator.validate(rest)
    assert rest["openapi"].startswith("3.1")


def test_the_rest_document_has_every_operation(rest):
    described = {
        (path, method) for path, item in rest["paths"].items() for method in item
    }
    assert described == {(row.path, row.method.lower()) for row in OPERATIONS}


def test_the_frame_document_has_every_action(frames):
    described = {name for name in frames["operations"] if name != "push"}
    assert described >= {row.name for row in OPERATIONS} - {"homedoc_get"}


def test_every_reference_of_the_documents_leads_somewhere(documents):
    for document in documents.values():
        found = set(references(document))
        assert found
        for reference in found:
            assert resolve(document, reference)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_request_over_rest_is_as_described(rest, name):
    row, request = ROWS[name], find_sample(name)["rest"]["request"]
    described = rest["paths"][row.path][row.method.lower()]
    known = {
        parameter["name"]: parameter["schema"]
        for parameter in described["parameters"]
        if parameter["in"] == "query"
    }
    assert set(request["query"]) <= set(known) or name.endswith("queue_list")
    if request["body"] is not None:
        (content,) = described["requestBody"]["content"].values()
        jsonschema.Draft202012Validator(content["schema"]).validate(request["body"])


@pytest.mark.parametrize("name", sorted(ROWS))
def test_an_answer_over_rest_is_as_described(rest, name):
    row, reply = ROWS[name], find_sample(name)["rest"]["reply"]
    described = rest["paths"][row.path][row.method.lower()]["responses"]
    assert str(reply["status"]) in described
    for error in row.errors:
        assert (
            error.__doc__.partition("\n")[0]
            in (described[str(error.status)]["description"])
        )


@pytest.mark.parametrize("name", sorted(set(ROWS) - {"homedoc_get"}))
def test_a_frame_is_as_described(frames, name):
    messages = frames["components"]["messages"]
    sample = find_sample(name)["websocket"]
    (example,) = messages[name]["examples"]
    assert (
        json.loads(json.dumps(example["payload"]["body"])) == sample["request"]["body"]
    )
    for message in (messages[name], messages[f"{name}_reply"]):
        schema = jsonschema.Draft7Validator(message["payload"])
        schema.validate(message["examples"][0]["payload"])
