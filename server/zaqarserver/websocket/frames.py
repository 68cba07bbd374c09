"""Frames and envelopes (``websocket-v2`` 2-4)."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from zaqarserver.errors import BadRequest, RequestError, TooManyRequests
from zaqarserver.identity.auth import Headers
from zaqarserver.operations import Body, BoundOperation, Reply
from zaqarserver.operations.fields import Fields
from zaqarserver.operations.readers import check_json

EMPTY = b"{}"
#: The action that is not an operation.
AUTHENTICATE = "authenticate"
#: The header with the client's own id of a request.
REQUEST_ID = "X-Request-ID"
IDEMPOTENCY_KEY = "Idempotency-Key"
#: The headers that must be texts (``websocket-v2`` section 3).
_TEXTS = frozenset(
    {
        *("Client-ID", "X-Project-ID", "X-Auth-Token", REQUEST_ID),
        *("User-Agent", "Date", "Accept", IDEMPOTENCY_KEY),
    }
)
_SECRET_HEADERS = ("X-Auth-Token", "X-Service-Token", "URL-Signature")
#: Larger requests are echoed without their body.
MAX_ECHO = 262144
#: Bytes of a frame's headers.
MAX_HEADERS = 65536
_raw = msgspec.json.Decoder(msgspec.Raw)


class FrameError(Exception):
    """A frame that is not a valid request; its answer is an error.

    Attributes:
        status: The status of the answer.
        error: The text of the answer.
        exception: More about it, or empty.
    """

    def __init__(self, status: int, error: str, exception: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.exception = exception

    @property
    def body(self) -> dict[str, str]:
        """The body of the answer."""
        if self.exception:
            return {"exception": self.exception, "error": self.error}
        return {"error": self.error}


class _Envelope(msgspec.Struct, gc=False):
    action: msgspec.Raw = msgspec.Raw(b"null")
    headers: msgspec.Raw = msgspec.Raw(EMPTY)
    body: msgspec.Raw = msgspec.Raw()


_envelope = msgspec.json.Decoder(_Envelope)
_headers = msgspec.json.Decoder(dict[str, Any])


class Request:
    """A decoded request frame.

    Attributes:
        action: The action's name.
        headers: The headers as sent.
        body: The body's JSON text; empty if the frame had none.
        proofs: The credentials of the connection's login when the frame arrived.
        binary: True if the frame is MessagePack, and so its answer.
        id: The request id for logs, set when the request is served.
        undo: Reverses the operation if its answer cannot be sent.
    """

    __slots__ = (
        *("_headers_text", "action", "binary", "body", "headers", "id", "proofs"),
        "undo",
    )

    def __init__(
        self,
        action: str,
        headers: dict[str, Any],
        headers_text: bytes,
        body: bytes,
        proofs: Headers | None = None,
    ) -> None:
        self.binary = False
        self.id = ""
        self.action = action
        self.headers = headers
        self.body = body
        self.proofs = proofs
        self.undo: Callable[[], Awaitable[None]] | None = None
        self._headers_text = headers_text

    def echo(self) -> bytes:
        """Return the request as answers repeat it, without secrets."""
        if self.action == AUTHENTICATE:
            return _AUTHENTICATE_ECHO
        headers = self._headers_text
        if any(name in self.headers for name in _SECRET_HEADERS):
            headers = _without_secrets(self.headers)
        body = self.body or EMPTY
        if len(body) > MAX_ECHO:
            body = EMPTY
        return echo(msgspec.json.encode(self.action), body, headers)


def masked(headers: bytes) -> bytes:
    """Return the headers of a refused frame, without secrets."""
    if any(name.encode() in headers for name in _SECRET_HEADERS):
        try:
            return _without_secrets(_headers.decode(headers))
        except msgspec.MsgspecError:
            return EMPTY  # not an object: any part of it may be secret
    return headers


def _without_secrets(headers: dict[str, Any]) -> bytes:
    return msgspec.json.encode(
        {
            name: "***" if name in _SECRET_HEADERS else value
            for name, value in headers.items()
        }
    )


def echo(action: bytes, body: bytes, headers: bytes) -> bytes:
    """Return the ``request`` member of an answer."""
    return b'{"action":%b,"body":%b,"headers":%b,"api":"v2"}' % (action, body, headers)


_AUTHENTICATE_ECHO = echo(b'"authenticate"', EMPTY, EMPTY)
#: Action, headers and body of a frame that cannot be read.
NOTHING = b"null", EMPTY, EMPTY


def answer(request: bytes, reply: Reply, request_id: str | None = None) -> bytes:
    """Return an answer's JSON text.

    Args:
        request: The echo of the request.
        reply: Status, headers and body.
        request_id: The client's own id of the request, if it sent one.
    """
    if request_id is None and reply.headers is None:
        headers = b'{"status":%d}' % reply.status
    else:
        own = {} if request_id is None else {"X-Request-ID": request_id}
        known = {"status": reply.status, **own, **(reply.headers or {})}
        headers = msgspec.json.encode(known)
    return b'{"request":%b,"body":%b,"headers":%b}' % (
        request,
        msgspec.json.encode(reply.body),
        headers,
    )


# -- decoding ---------------------------------------------------------------


def envelope(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the JSON texts of action, headers and body; body may be empty.

    Raises:
        FrameError: The frame is not a JSON object.
    """
    try:
        check_json(data)
        found = _envelope.decode(data)
    except msgspec.ValidationError:
        raise FrameError(
            400, "Unexpected body type. Expected dict or dict like."
        ) from None
    except (msgspec.MsgspecError, RecursionError, BadRequest) as error:
        detail = error.description if isinstance(error, BadRequest) else str(error)
        raise FrameError(
            400, f"Can't decode text (JSON) request. EXC: {detail}"
        ) from None
    return bytes(found.action), bytes(found.headers), bytes(found.body)


def decode_headers(text: bytes) -> dict[str, Any]:
    """Return a frame's headers.

    Raises:
        FrameError: They are not an object, or a known one is not a text.
    """
    if len(text) > MAX_HEADERS:
        raise schema_error(f"headers: they may have at most {MAX_HEADERS} bytes")
    try:
        headers = _headers.decode(text)
    except msgspec.MsgspecError as error:
        raise schema_error(f"headers: {error}") from None
    for name, value in headers.items():
        if name in _TEXTS and not isinstance(value, str):
            raise schema_error(f"headers: {name} must be a text")
    return headers


def schema_error(detail: str) -> FrameError:
    """Return the error for a frame with a member of a wrong type."""
    return FrameError(400, "Schema validation failed.", detail)


def error_body(error: RequestError) -> dict[str, Any]:
    """Return the body of an error (``websocket-v2`` 4.1)."""
    text = error.description or error.title
    body: dict[str, Any] = {"exception": error.detail or text, "error": text}
    if isinstance(error, TooManyRequests):
        body["retry_after"] = error.retry_after
    return body


@functools.cache
def _only(member: str) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a body that leaves all but one member out."""
    fields = [(member, msgspec.Raw, msgspec.Raw())]
    return msgspec.json.Decoder(msgspec.defstruct("OneMember", fields))


def size_of(body: bytes, member: str) -> int:
    """Return the size of a member of a body, in bytes of JSON text."""
    return len(getattr(_only(member).decode(body), member))


def explain(error: Exception) -> FrameError:
    """Return the error in the wording that clients of this transport expect."""
    text = str(error).replace("`", "")
    if "$.messages[" in text:
        if "missing required field body" in text:
            known = 'Bad request. Missing "body" field.'
            return FrameError(400, known, known)
        if text.endswith(".ttl"):
            known = 'Bad request. The value of the "ttl" field must be a int.'
            return FrameError(400, known, known)
    return schema_error(text)


def needed_headers(request: Request) -> tuple[str, ...]:
    """Return the headers that a frame must have."""
    if request.action == AUTHENTICATE:
        return "X-Project-ID", "X-Auth-Token"
    if request.proofs is None or "X-Project-ID" in request.headers:
        return "X-Project-ID", "Client-ID"
    # A frame without X-Project-ID cannot match the login: 403, not 400.
    return ("Client-ID",)


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


def read_values(operation: BoundOperation, request: Request) -> Fields:
    """Return the arguments of an operation, each of its type.

    Raises:
        BadRequest: They have too many bytes.
        FrameError: They are malformed.
    """
    body = request.body or EMPTY
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
    for field, name in operation.headers:
        if name in request.headers:
            values[field] = request.headers[name]
    return operation.row.fields(**values)
