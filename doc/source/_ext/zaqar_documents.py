"""The API as documents for programs: OpenAPI 3.1 for REST, AsyncAPI 3.0 for frames.

Both are made from the server's operation table and the samples of the wire, and written
beside the built pages: ``openapi.json`` and ``asyncapi.json``.
"""

from __future__ import annotations

import itertools
import json
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
from sphinx.application import Sphinx
from zaqarserver.errors import (
    BadRequest,
    Forbidden,
    RequestError,
    TooManyRequests,
    Unauthorized,
)
from zaqarserver.operations import OPERATIONS, Body, Operation
from zaqarserver.operations.fields import NAME, Member, RequestPart, is_list, members
from zaqarserver.operations.settings import Settings

from zaqarclient.tests.samples import find_sample

Document = dict[str, Any]

JSON_TYPES = {str: "string", int: "integer", bool: "boolean", float: "number"}
SERVER = "127.0.0.1:8888"
DEFAULTS = Settings()
#: The errors that every operation with a policy rule can have.
COMMON = (BadRequest, Unauthorized, Forbidden, TooManyRequests)
ABOUT = {
    "title": "Zaqar",
    "version": "2",
    "summary": "Messaging and notifications, by project.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
ERROR = {
    "type": "object",
    "required": ["title"],
    "properties": {"title": {"type": "string"}, "description": {"type": "string"}},
}
FRAME_HEADERS = {
    "type": "object",
    "required": ["Client-ID", "X-Project-ID"],
    "properties": {
        "Client-ID": {"type": "string", "format": "uuid"},
        "X-Project-ID": {"type": "string"},
        "X-Request-ID": {"type": "string"},
    },
}

# -- schemas -------------------------------------------------------------------


def schema_of_type(hint: Any) -> Document:
    """Return the JSON schema of a field's type, without bounds."""
    parts = [
        part
        for part in _alternatives(hint)
        if part not in (types.NoneType, msgspec.UnsetType)
    ]
    if len(parts) > 1:
        return {"anyOf": [schema_of_type(part) for part in parts]}
    (part,) = parts
    if typing.get_origin(part) is list:
        return {"type": "array", "items": schema_of_type(typing.get_args(part)[0])}
    if typing.get_origin(part) is dict:
        return {"type": "object"}
    if isinstance(part, type) and issubclass(part, msgspec.Struct):
        return object_of(members(part))
    return {"type": JSON_TYPES[part]} if part in JSON_TYPES else {}


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def schema_of(member: Member) -> Document:
    """Return the JSON schema of a field, with its bounds at the default settings."""
    schema = schema_of_type(member.type)
    spec = member.spec
    if spec.name:
        schema["pattern"] = f"^{NAME.pattern}$"
    suffix = "Items" if is_list(member.type) else "imum"
    for side, bound in (("min", spec.minimum), ("max", spec.maximum)):
        if bound is not None:
            limit = getattr(DEFAULTS, bound) if isinstance(bound, str) else bound
            schema[side + suffix] = limit
    if spec.help:
        schema["description"] = spec.help
    return schema


def object_of(fields: Iterable[Member]) -> Document:
    """Return the JSON schema of an object with these fields."""
    fields = list(fields)
    schema: Document = {
        "type": "object",
        "properties": {member.name: schema_of(member) for member in fields},
    }
    required = [m.name for m in fields if m.spec.required or not m.optional]
    return {**schema, "required": required} if required else schema


def fields_in(row: Operation, *parts: RequestPart) -> list[Member]:
    """Return the fields of an operation that REST carries in these parts."""
    return [member for member in members(row.fields) if member.spec.part in parts]


# -- OpenAPI -------------------------------------------------------------------


def openapi() -> Document:
    """Return the REST API as an OpenAPI document."""
    paths: dict[str, Document] = {}
    key = _method_and_path
    for (path, method), rows in itertools.groupby(sorted(OPERATIONS, key=key), key):
        paths.setdefault(path, {})[method] = _rest_operation(list(rows))
    return {
        "openapi": "3.1.0",
        "info": ABOUT,
        "servers": [{"url": f"http://{SERVER}"}],
        "security": [{"token": []}, {"project": []}],
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {
                "token": _header_key("X-Auth-Token", "A token of Keystone."),
                "project": _header_key(
                    "X-Project-ID", "The project, on servers without authentication."
                ),
            },
        },
    }


def _header_key(name: str, text: str) -> Document:
    return {"type": "apiKey", "in": "header", "name": name, "description": text}


def _method_and_path(row: Operation) -> tuple[str, str]:
    return row.path, row.method.lower()


def _rest_operation(rows: list[Operation]) -> Document:
    """Return the operation of a method and path; a query parameter may choose one."""
    rows.sort(key=lambda row: bool(row.when))
    first = rows[0]
    operation: Document = {
        "operationId": first.name,
        "summary": first.summary,
        "tags": [first.path.split("/")[2] if first.path.count("/") > 1 else "service"],
        "parameters": list(_parameters(rows)),
        "responses": {},
    }
    if len(rows) > 1:
        operation["description"] = " ".join(
            f"With {row.when}: {row.summary}" for row in rows[1:]
        )
    if first.body is not Body.NONE:
        operation["requestBody"] = _request_body(first)
    for row in rows:
        operation["responses"].update(_responses(row))
    return operation


def _parameters(rows: list[Operation]) -> Iterator[Document]:
    if rows[0].policy:
        yield {
            "name": "Client-ID",
            "in": "header",
            "required": True,
            "schema": {"type": "string", "format": "uuid"},
        }
    named = {
        (member.spec.part, member.spec.rest_name or member.name): member
        for row in rows
        for member in fields_in(
            row, RequestPart.PATH, RequestPart.QUERY, RequestPart.HEADER
        )
    }
    for (part, name), member in named.items():
        is_path = part is RequestPart.PATH
        parameter = {
            "name": name,
            "in": part.value,
            "required": is_path or (len(rows) == 1 and not member.optional),
            "schema": schema_of(member),
        }
        if is_list(member.type):
            parameter.update(style="form", explode=False)
        yield parameter


def _request_body(row: Operation) -> Document:
    whole = fields_in(row, RequestPart.DOCUMENT)
    schema = (
        schema_of(whole[0]) if whole else object_of(fields_in(row, RequestPart.BODY))
    )
    content: Document = {"schema": schema}
    sample = find_sample(row.name)
    if sample is not None and sample["rest"]["request"]["body"] is not None:
        content["example"] = sample["rest"]["request"]["body"]
    return {
        "required": row.body is Body.REQUIRED,
        "content": {row.content_type or "application/json": content},
    }


def _responses(row: Operation) -> dict[str, Document]:
    status = row.status
    sample = find_sample(row.name)
    answer: Document = {"description": HTTPStatus(status).phrase}
    if sample is not None:
        reply = sample["rest"]["reply"]
        status = reply["status"]
        answer = {"description": HTTPStatus(status).phrase}
        if reply["body"] is not None:
            answer["content"] = {"application/json": {"example": reply["body"]}}
    found = {str(status): answer}
    for error in errors_of(row):
        text = (error.__doc__ or "").partition("\n")[0]
        known = found.setdefault(
            str(error.status),
            {
                "description": "",
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/Error"}
                    }
                },
            },
        )
        known["description"] = f"{known['description']} {text}".strip()
    return found


def errors_of(row: Operation) -> list[type[RequestError]]:
    """Return what an operation can be refused with."""
    return [*(COMMON if row.policy else ()), *row.errors]


# -- AsyncAPI ------------------------------------------------------------------


def asyncapi() -> Document:
    """Return the WebSocket API as an AsyncAPI document."""
    messages: Document = {"push": _push()}
    operations: Document = {
        "push": {
            "action": "receive",
            "channel": {"$ref": "#/channels/frames"},
            "messages": [_channel_message("push")],
        }
    }
    for row in OPERATIONS:
        if row.name == "homedoc_get" or row.frame_body is Body.NONE:
            continue
        messages[row.name] = _request_message(row)
        messages[f"{row.name}_reply"] = _reply_message(row)
        operations[row.name] = {
            "action": "send",
            "summary": row.summary,
            "channel": {"$ref": "#/channels/frames"},
            "messages": [_channel_message(row.name)],
            "reply": {
                "channel": {"$ref": "#/channels/frames"},
                "messages": [_channel_message(f"{row.name}_reply")],
            },
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": ABOUT["title"],
            "version": ABOUT["version"],
            "description": "One JSON or MessagePack object a frame.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"local": {"host": SERVER, "protocol": "ws"}},
        "channels": {
            "frames": {
                "address": "/",
                "messages": {
                    name: {"$ref": f"#/components/messages/{name}"} for name in messages
                },
            }
        },
        "operations": operations,
        "components": {"messages": messages},
    }


def _channel_message(name: str) -> Document:
    return {"$ref": f"#/channels/frames/messages/{name}"}


def _request_message(row: Operation) -> Document:
    payload = {
        "type": "object",
        "required": ["action", "headers"],
        "properties": {
            "action": {"const": row.name},
            "api": {"type": "string"},
            "headers": FRAME_HEADERS,
            "body": _frame_body(row),
        },
    }
    return {"name": row.name, "summary": row.summary, "payload": payload} | _example(
        row, "request"
    )


def _frame_body(row: Operation) -> Document:
    """Return the schema of a frame's body; spread documents have any members."""
    sent = [
        member
        for member in members(row.fields)
        if member.spec.part not in (RequestPart.EDGE, RequestPart.HEADER)
        and not member.spec.spread
    ]
    return object_of(sent)


def _reply_message(row: Operation) -> Document:
    payload = {
        "type": "object",
        "required": ["request", "headers", "body"],
        "properties": {
            "request": {"type": "object"},
            "headers": {
                "type": "object",
                "required": ["status"],
                "properties": {"status": {"type": "integer"}},
            },
            "body": {},
        },
    }
    return {"name": f"{row.name}_reply", "payload": payload} | _example(row, "reply")


def _example(row: Operation, side: str) -> Document:
    sample = find_sample(row.name)
    if sample is None:
        return {}
    payload = sample["websocket"][side]
    if side == "request":
        headers = {"Client-ID": "3381af92-2b9e-11e3-b191-71861300734c"}
        payload = {**payload, "headers": {**headers, "X-Project-ID": "demo"}}
    else:
        payload = {"request": sample["websocket"]["request"], **payload}
    return {"examples": [{"payload": payload}]}


def _push() -> Document:
    return {
        "name": "push",
        "summary": "A notification of a subscription of this connection.",
        "payload": {
            "type": "object",
            "required": ["ttl", "body", "Message_Type", "queue_name"],
            "properties": {
                "ttl": {"type": "integer"},
                "body": {},
                "Message_Type": {"const": "Notification"},
                "queue_name": {"type": "string"},
            },
        },
    }


# -- beside the pages ----------------------------------------------------------


def documents() -> Mapping[str, Document]:
    """Return the documents by file name."""
    return {"openapi.json": openapi(), "asyncapi.json": asyncapi()}


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the documents into the built pages."""
    if error is None and app.builder.format == "html":
        for name, document in documents().items():
            text = json.dumps(document, indent=1, ensure_ascii=False)
            Path(app.outdir, name).write_text(text + "\n", encoding="utf-8")


def setup(app: Sphinx) -> Document:
    """Write the documents after the pages."""
    app.connect("build-finished", write)
    return {"version": "1", "parallel_read_safe": True}
