"""Reading what an operation needs of a request (``rest-v2`` 1.4-1.6, 1.11)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from zaqarserver.errors import BadRequest, UnsupportedMediaType
from zaqarserver.http.answers import NotAcceptable
from zaqarserver.http.requests import RestRequest
from zaqarserver.identity.auth import Headers
from zaqarserver.operations import Body, BoundOperation
from zaqarserver.operations.fields import Fields

_FORM = b"application/x-www-form-urlencoded"


class UnsupportedCoding(UnsupportedMediaType):
    """The body is compressed."""

    accepted = ("Accept-Encoding", "identity")


def accepts_json(accept: bytes, *extra: bytes) -> bool:
    """Return True if an ``Accept`` header admits JSON (``rest-v2`` 1.5)."""
    return not accept.strip() or names_media(
        accept, b"*/*", b"application/*", b"application/json", *extra
    )


@functools.lru_cache(maxsize=512)
def names_media(accept: bytes, *admitted: bytes) -> bool:
    """Return True if an ``Accept`` header admits one of these ranges by its name."""
    for item in accept.lower().split(b","):
        media, *parameters = (part.strip() for part in item.split(b";"))
        if media in admitted and not any(_is_zero(text) for text in parameters):
            return True
    return False


def _is_zero(parameter: bytes) -> bool:
    name, _, value = parameter.partition(b"=")
    return name.strip() == b"q" and not value.strip().strip(b"0.")


def check_accept(headers: Headers, *extra: bytes) -> None:
    """Refuse clients that take no JSON.

    Raises:
        NotAcceptable: The header ``Accept`` admits none.
    """
    if b"accept" in headers and not accepts_json(headers[b"accept"], *extra):
        raise NotAcceptable(
            "Only application/json is served here; adjust the Accept header."
        )


def read_query(text: str) -> dict[str, Any]:
    """Return the query parameters; empty ones are left out (``rest-v2`` 1.11).

    Those that are sent again, or with commas, are lists.
    """
    found: dict[str, Any] = {}
    for item in text.split("&") if text else ():
        name, _, value = item.partition("=")
        for part in value.split(","):
            if part:
                found.setdefault(unquote_plus(name), []).append(unquote_plus(part))
    return {name: one if len(one) > 1 else one[0] for name, one in found.items()}


def check_length(request: RestRequest) -> None:
    """Refuse a malformed Content-Length and form-encoded bodies (``rest-v2`` 1.6).

    Raises:
        BadRequest: The request has one.
    """
    headers = request.headers
    length = headers.get(b"content-length")
    if length is None:
        return
    if not length.isdigit():
        raise BadRequest(
            "Content-Length must be a number of bytes.", title="Invalid header value"
        )
    content_type = headers.get(b"content-type", b"").lower()
    if content_type == _FORM and not request.takes_text:
        raise BadRequest(
            "Send JSON: form-encoded bodies are not read.",
            title="Invalid Content-Type",
        )


def read_values(
    operation: BoundOperation,
    query: Mapping[str, Any],
    path: Mapping[str, str],
    headers: Headers,
    document: bytes,
) -> Fields:
    """Return the arguments of an operation, each of its type.

    Raises:
        BadRequest: They are malformed, or one is missing.
    """
    values: dict[str, Any] = operation.query.read(query) if query else {}
    for field, name in operation.headers:
        if (text := headers.get(name.lower().encode())) is not None:
            values[field] = text.decode("latin-1")
    if operation.body is not None:
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
    values.update(path)
    try:
        return operation.row.fields(**values)
    except TypeError:
        raise BadRequest("A mandatory field is missing.") from None


async def read_body(operation: BoundOperation, request: RestRequest) -> bytes:
    """Read the body of a request within the limit of its operation.

    Raises:
        BadRequest: It is too large, or broke off.
        UnsupportedMediaType: It is compressed, or of another type than the
            operation takes.
    """
    headers = request.headers
    row, limit = operation.row, operation.max_body
    coding = headers.get(b"content-encoding")
    if coding is not None and coding.strip().lower() != b"identity":
        raise UnsupportedCoding("Content-Encoding must be identity, or not be sent.")
    if row.content_type is not None:
        sent = headers.get(b"content-type", b"").decode("latin-1")
        if sent != row.content_type:
            raise UnsupportedMediaType(f"The body must be {row.content_type}.")
    declared = headers.get(b"content-length")
    if declared is not None and int(declared) > limit:
        raise _too_large(limit)
    data = await request.read(limit + 1)
    if len(data) > limit:
        raise _too_large(limit)
    if request.is_cut:
        raise BadRequest("The request body broke off.", title="Invalid request body")
    return message_of(data, limit) if data and request.takes_text else data


class _PostDocument(msgspec.Struct):
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def message_of(data: bytes, most: int) -> bytes:
    """Return the JSON document of a post whose body may be one bare message.

    An object with ``messages`` is that document. Another JSON value is the body of
    one message, and so is everything else, as a text.

    Args:
        data: What was sent.
        most: Bytes of JSON that the message may have.

    Raises:
        BadRequest: It is not UTF-8, or too long as JSON.
    """
    try:
        body = bytes(msgspec.json.decode(data, type=msgspec.Raw))
        document = msgspec.json.decode(body, type=_PostDocument)
        if document.messages is not msgspec.UNSET:
            return data
    except msgspec.ValidationError:
        pass  # JSON, but not an object
    except RecursionError:
        return data  # the decoder of the operation reports it
    except msgspec.DecodeError:
        body = _as_text(data)
    if len(body) > most:
        raise _too_large(most)
    return b'{"messages":[{"body":%b}]}' % body


def _as_text(data: bytes) -> bytes:
    try:
        return msgspec.json.encode(data.decode())
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"The request body is not UTF-8 at byte {error.start}.",
            title="Invalid request body",
        ) from None


def _too_large(limit: int) -> BadRequest:
    return BadRequest(
        f"The request body may have at most {limit} bytes.",
        title="Invalid request body",
    )
