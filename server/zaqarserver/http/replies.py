"""REST answers: errors, headers and bodies (``rest-v2`` 1.7, 1.8)."""

from __future__ import annotations

import logging
from typing import Any

import falcon.asgi
import msgspec

from zaqarserver.errors import (
    RequestError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from zaqarserver.http.reading import NotAcceptable
from zaqarserver.operations import Reply

LOG = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode


class MethodNotAllowed(RequestError):
    """The path knows no such method."""

    status = 405
    title = "405 Method Not Allowed"


VARY = {"Vary": "Accept"}
_HELP_406 = {
    "text": "HTTP/1.1 section 14.1",
    "href": "http://www.w3.org/Protocols/rfc2616/rfc2616-sec14.html",
    "rel": "help",
}


def error_reply(error: Exception, allow: str = "") -> Reply:
    """Turn an error into an answer; what was not raised on purpose is logged."""
    if isinstance(error, Unauthorized):
        return _unauthorized(error)
    if isinstance(error, RequestError):
        body: dict[str, Any] = {"title": error.title}
        if error.description:
            body["description"] = error.description
        headers = dict(VARY)
        if isinstance(error, NotAcceptable):
            body["link"] = _HELP_406
        elif isinstance(error, MethodNotAllowed) and allow:
            headers["Allow"] = allow
        elif isinstance(error, UnsupportedMediaType):
            headers.update([error.accepted])
        elif isinstance(error, TooManyRequests):
            headers["Retry-After"] = str(error.retry_after)
        return Reply(error.status, body, headers)
    if isinstance(error, Unavailable):
        LOG.warning("cannot serve now: %s", error)
        headers = dict(VARY)
        if error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
        body = {"title": error.title, "description": error.public}
        return Reply(error.status, body, headers)
    LOG.error("request failed", exc_info=error)
    return Reply(
        500,
        {
            "title": "Internal server error",
            "description": "The server met an error. Its log tells more under the "
            "request id of this answer.",
        },
        VARY,
    )


def _unauthorized(error: Unauthorized) -> Reply:
    """Say in the words of all OpenStack services that a token is needed."""
    body = {"code": error.status, "title": error.title, "message": error.description}
    headers = {**VARY, "WWW-Authenticate": error.challenge}
    return Reply(error.status, {"error": body}, headers)


def write(response: falcon.asgi.Response, reply: Reply, request_id: str) -> None:
    """Fill a response from a reply."""
    response.status = reply.status
    if reply.headers is not None:
        for name, value in reply.headers.items():
            response.set_header(name, value)
    response.set_header("X-OpenStack-Request-ID", request_id)
    if reply.status != 204:
        response.content_type = reply.content_type
        response.data = b"" if reply.body is None else _encode(reply.body)
