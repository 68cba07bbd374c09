"""Version 2 of the API: its operations as calls, requests and frames.

Both transports take from here where each argument goes (contract, SDK section 16).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from zaqarclient.errors import InvalidOperation
from zaqarclient.queues.v2 import frames
from zaqarclient.queues.v2.table import JSON_PATCH, OPERATIONS, PATH_NAME, Operation
from zaqarclient.transport.api import Api, RequestFrame, Retry
from zaqarclient.transport.request import Request

__all__ = ["JSON_PATCH", "OPERATIONS", "V2", "Operation", "bind", "operation_of"]


class V2(Api):
    """Version 2 of the messaging API."""

    label: ClassVar[str] = "v2"
    schema: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        row.name: row.schema() for row in OPERATIONS.values()
    }

    def retry(self, operation: str, params: Mapping[str, Any]) -> Retry:
        """Return when a failed call of this operation may be sent again."""
        self.get_schema(operation)
        if "pop" in params:
            return OPERATIONS["message_pop"].retry
        return OPERATIONS[operation].retry

    def frame(self, request: Request) -> RequestFrame:
        """Return a request as the WebSocket has it.

        Raises:
            zaqarclient.errors.InvalidOperation: There is no such operation, or
                nothing reads this path.
        """
        operation, given = request.operation, request.params
        if not operation:
            operation, given = operation_of(request.ref)
        self.get_schema(operation)
        row = OPERATIONS[operation]
        params = frames.arguments_of(row.query, given)

        def read(status: int, body: Any) -> tuple[int, Any]:
            return row.frame.read(params, frames.Answer(status, body))

        return RequestFrame(
            row.frame.action or operation,
            row.frame_body(params, request.document),
            self.retry(operation, params),
            read,
        )


def operation_of(ref: str) -> tuple[str, dict[str, Any]]:
    """Return the operation that reads a path, with its arguments.

    Raises:
        InvalidOperation: None does.
    """
    parts = urlsplit(ref)
    path = parts.path.lstrip("/").removeprefix("v2/")
    query: dict[str, Any] = {}
    for name, values in parse_qs(parts.query, keep_blank_values=True).items():
        query[name] = values if len(values) > 1 else values[0]
    for row in OPERATIONS.values():
        pattern = PATH_NAME.sub(r"(?P<\1>[^/]+)", row.path)
        found = re.fullmatch(pattern, path) if row.method == "GET" else None
        if found and (not row.name.endswith("message_list") or "ids" not in query):
            names = {name: unquote(text) for name, text in found.groupdict().items()}
            return row.name, {**query, **names}
    raise InvalidOperation(f"no operation reads {ref!r}")


def bind(request: Request, operation: str, arguments: Mapping[str, Any]) -> None:
    """Put a call into a request.

    Args:
        request: A request with nothing of another call in it.
        operation: The name of the operation.
        arguments: By name, wherever they go. None means absent.

    """
    request.operation = operation
    row = OPERATIONS[operation]
    body: dict[str, Any] = {}
    for name, value in arguments.items():
        if name == row.whole:
            request.document = value
        elif value is not None:
            (body if _in_body(row, name) else request.params)[name] = value
    if body or row.sends_empty:
        request.document = body
    if row.content_type != "application/json":
        request.headers["content-type"] = row.content_type


def _in_body(row: Operation, name: str) -> bool:
    if name in row.path_names or name in row.query:
        return False
    return name in row.body or row.spill == "body"
