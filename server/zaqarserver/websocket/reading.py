"""Reading a request frame: the request, and the arguments of its action."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from zaqarserver.errors import BadRequest
from zaqarserver.identity.auth import Headers
from zaqarserver.operations import Body, BoundOperation
from zaqarserver.operations.fields import Fields
from zaqarserver.websocket.callers import needed_headers
from zaqarserver.websocket.frames import (
    FrameError,
    Request,
    decode_headers,
    explain,
    schema_error,
    size_of,
)

AUTHENTICATE = "authenticate"


def read_request(
    action_text: bytes,
    headers: bytes,
    body: bytes,
    proofs: Headers | None,
    operations: Mapping[str, BoundOperation],
) -> Request:
    """Return the request of an envelope.

    Args:
        action_text: The JSON text of its action.
        headers: The JSON text of its headers.
        body: The JSON text of its body, or empty.
        proofs: The credentials of the connection's login, if any.
        operations: The actions except ``authenticate``, by name.

    Raises:
        FrameError: It is not a valid request.
    """
    action = msgspec.json.decode(action_text)
    operation = operations.get(action) if isinstance(action, str) else None
    if operation is None and action != AUTHENTICATE:
        raise FrameError(400, f"{action} is not a valid action")
    request = Request(action, decode_headers(headers), headers, body, proofs)
    if operation is not None:
        may_lack = operation.row.frame_body is Body.OPTIONAL
        if not body.startswith(b"{") and (body or not may_lack):
            raise schema_error("body: an object is needed")
    for name in needed_headers(request):
        if not isinstance(request.headers.get(name), str):
            raise schema_error(f"headers: {name} is needed, a text")
    return request


def read_values(operation: BoundOperation, body: bytes) -> Fields:
    """Return the arguments of an operation, each of its type.

    Raises:
        BadRequest: They have too many bytes.
        FrameError: They are malformed.
    """
    try:
        operation.check_count(body)
        values = operation.frame.read(body)
        if operation.sized is not None:
            size = size_of(body, operation.sized)
            if size > operation.max_body:
                raise BadRequest(
                    f"{operation.sized} may have at most {operation.max_body} bytes."
                )
            if operation.measured:
                values["size"] = size
    except (msgspec.MsgspecError, RecursionError) as error:
        raise explain(error) from None
    return operation.row.fields(**values)
