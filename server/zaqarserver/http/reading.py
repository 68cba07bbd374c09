"""Reading a REST request: headers, query, body (``rest-v2`` 1.4-1.6, 1.11)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import falcon.asgi
import falcon.uri

from zaqarserver.errors import BadRequest, RequestError, UnsupportedMediaType
from zaqarserver.http.exchange import EXCHANGE, Exchange
from zaqarserver.identity.auth import SINGLE_HEADERS, Headers
from zaqarserver.operations import Body, BoundOperation
from zaqarserver.operations.fields import Fields

_FORM = b"application/x-www-form-urlencoded"


class NotAcceptable(RequestError):
    """The client takes no JSON."""

    status = 406
    title = "406 Not Acceptable"


class UnsupportedCoding(UnsupportedMediaType):
    """The body is compressed."""

    accepted = ("Accept-Encoding", "identity")


@functools.lru_cache(maxsize=512)
def accepts_json(accept: bytes, *extra: bytes) -> bool:
    """Return True if an ``Accept`` header admits JSON (``rest-v2`` 1.5)."""
    if not accept.strip():
        return True
    admitted = (b"*/*", b"application/*", b"application/json", *extra)
    for item in accept.lower().split(b","):
        media, *parameters = (part.strip() for part in item.split(b";"))
        if media in admitted and not any(_is_zero(text) for text in parameters):
            return True
    return False


def _is_zero(parameter: bytes) -> bool:
    name, _, value = parameter.partition(b"=")
    return name.strip() == b"q" and not value.strip().strip(b"0.")


def read_query(request: falcon.asgi.Request) -> dict[str, Any]:
    """Return the query parameters; empty ones are left out (``rest-v2`` 1.11)."""
    text = request.query_string
    if not text:
        return {}
    parsed: dict[str, Any] = falcon.uri.parse_query_string(
        text, keep_blank=False, csv=True
    )
    return parsed


def read_headers(request: falcon.asgi.Request) -> dict[bytes, bytes]:
    """Return the headers by lower-case name.

    ``Accept`` may be sent in parts, which make one list.

    Raises:
        BadRequest: A header that identifies the caller was sent twice.
    """
    pairs = request.scope["headers"]
    headers = dict(pairs)
    if len(headers) != len(pairs):
        names = [name for name, _ in pairs]
        for name in SINGLE_HEADERS:
            if names.count(name) > 1:
                raise BadRequest(
                    f"The header {name.decode()} must be sent once.",
                    title="Invalid header value",
                )
        if names.count(b"accept") > 1:
            parts = [value for name, value in pairs if name == b"accept"]
            headers[b"accept"] = b",".join(parts)
    return headers


def check_length(headers: Headers) -> None:
    """Refuse a malformed Content-Length and form-encoded bodies (``rest-v2`` 1.6).

    Raises:
        BadRequest: The request has one.
    """
    length = headers.get(b"content-length")
    if length is None:
        return
    if not length.isdigit():
        raise BadRequest(
            "Content-Length must be a number of bytes.", title="Invalid header value"
        )
    content_type = headers.get(b"content-type")
    if content_type is not None and content_type.lower() == _FORM:
        raise BadRequest(
            "Send JSON: form-encoded bodies are not read.",
            title="Invalid Content-Type",
        )


def check_accept(accept: bytes, *extra: bytes) -> None:
    """Refuse clients that take no JSON.

    Raises:
        NotAcceptable: The header admits none.
    """
    if not accepts_json(accept, *extra):
        raise NotAcceptable(
            "Only application/json is served here; adjust the Accept header."
        )


async def read_values(
    operation: BoundOperation,
    request: falcon.asgi.Request,
    query: Mapping[str, Any],
    path: Mapping[str, str],
) -> Fields:
    """Return the arguments of an operation, each of its type.

    Raises:
        BadRequest: They are malformed, one is missing, or the request broke off.
        UnsupportedMediaType: The body is compressed, or of another type than the
            operation takes.
    """
    values: dict[str, Any] = operation.query.read(query)
    if operation.body is not None:
        document = await _read_body(operation, request, request.context.headers)
        if document:
            operation.check_count(document)
            values.update(operation.body.read(document))
        elif operation.row.body is Body.REQUIRED:
            raise BadRequest(
                "Missing parameters: the request needs a JSON body.",
                title="Invalid request body",
            )
        if operation.measured:
            values["size"] = len(document)
    exchange: Exchange | None = request.scope.get(EXCHANGE)
    if exchange is not None and (exchange.is_cut or exchange.is_gone):
        raise BadRequest("The request broke off.", title="Invalid request body")
    values.update(path)
    try:
        return operation.row.fields(**values)
    except TypeError:
        raise BadRequest("A mandatory field is missing.") from None


async def _read_body(
    operation: BoundOperation, request: falcon.asgi.Request, headers: Headers
) -> bytes:
    """Read a request's body within its limit; empty if there is none.

    Raises:
        BadRequest: It is too large, or broke off.
        UnsupportedMediaType: It is compressed, or of another type than the
            operation takes.
    """
    row, limit = operation.row, operation.max_body
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding != b"identity":
        raise UnsupportedCoding("Content-Encoding must be identity, or not be sent.")
    if row.content_type is not None:
        sent = headers.get(b"content-type", b"").decode("latin-1")
        if sent != row.content_type:
            raise UnsupportedMediaType(f"The body must be {row.content_type}.")
    declared = headers.get(b"content-length")
    if declared is not None and int(declared) > limit:
        raise _too_large(limit)
    data: bytes = await request.stream.read(limit + 1)
    if len(data) > limit:
        raise _too_large(limit)
    if declared is not None and len(data) != int(declared):
        raise BadRequest("The request body broke off.", title="Invalid request body")
    return data


def _too_large(limit: int) -> BadRequest:
    return BadRequest(
        f"The request body may have at most {limit} bytes.",
        title="Invalid request body",
    )
