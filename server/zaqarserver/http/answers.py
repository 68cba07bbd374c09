"""Answers as they are sent: replies and errors of operations, refusals, CORS."""

from __future__ import annotations

import functools
import http
import logging
import re
from collections.abc import Collection, Mapping
from email.utils import formatdate
from typing import Any

import msgspec

from zaqarserver.clock import wall
from zaqarserver.common.log import new_request_id
from zaqarserver.errors import (
    RequestError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from zaqarserver.operations import Reply

LOG = logging.getLogger(__name__)

VARY = {"Vary": "Accept"}
#: Headers of a refusal that a client may send again in a second.
BUSY = {"Retry-After": "1"}
_encode = msgspec.json.Encoder().encode
_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HELP_406 = {
    "text": "HTTP/1.1 section 14.1",
    "href": "http://www.w3.org/Protocols/rfc2616/rfc2616-sec14.html",
    "rel": "help",
}


class Answer(msgspec.Struct, gc=False):
    """An answer.

    Attributes:
        status: The HTTP status.
        headers: All but those of the connection, names in lower case.
        body: The body; empty for HEAD, where ``content-length`` is that of GET.
    """

    status: int
    headers: dict[str, str]
    body: bytes = b""

    def head(self, *, last: bool) -> bytes:
        """Return the status line and the headers.

        Args:
            last: True if the connection is closed after the answer.
        """
        lines = _first_lines(self.status, int(wall()))
        for name, value in self.headers.items():
            lines += f"{name}: {value}\r\n"
        lines += "Connection: close\r\n\r\n" if last else "\r\n"
        return lines.encode("latin-1")


@functools.lru_cache(maxsize=64)
def _first_lines(status: int, now: int) -> str:
    """Return the status line and the date of an answer."""
    return (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n"
        f"Date: {formatdate(now, usegmt=True)}\r\n"
    )


def answer_of(reply: Reply, request_id: str) -> Answer:
    """Convert a reply to an answer; only a 204 is without a body.

    Raises:
        ValueError: A header has control characters.
    """
    headers = {"x-openstack-request-id": request_id}
    if reply.headers is not None:
        for name, value in reply.headers.items():
            if not value.isprintable() and _UNSAFE.search(value):
                raise ValueError(f"the header {name} of an answer is unsafe")
            headers[name.lower()] = value
    if reply.status == 204:
        return Answer(204, headers)
    body = b"" if reply.body is None else _encode(reply.body)
    headers["content-type"] = reply.content_type
    headers["content-length"] = str(len(body))
    return Answer(reply.status, headers, body)


def with_headers(reply: Reply, headers: Mapping[str, str]) -> Reply:
    """Return a reply with more headers."""
    return msgspec.structs.replace(reply, headers={**(reply.headers or {}), **headers})


class Refusal(Exception):
    """The request is refused, and the connection closed.

    Args:
        status: The HTTP status.
        description: What is wrong and what is expected.
        headers: More headers.
    """

    def __init__(
        self, status: int, description: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.status = status
        self._headers = headers or {}

    def answer(self) -> Answer:
        """Return the answer."""
        title = http.HTTPStatus(self.status).phrase
        body = _encode({"title": title, "description": str(self)})
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "X-OpenStack-Request-ID": new_request_id(),
        }
        return Answer(self.status, {**headers, **VARY, **self._headers}, body)


# -- errors -------------------------------------------------------------------


class MethodNotAllowed(RequestError):
    """The path does not have the method.

    Args:
        allow: The methods that it has.
    """

    status = 405
    title = "405 Method Not Allowed"

    def __init__(self, allow: str) -> None:
        super().__init__()
        self.allow = allow


class NotAcceptable(RequestError):
    """The client does not accept JSON."""

    status = 406
    title = "406 Not Acceptable"


def error_reply(error: Exception) -> Reply:
    """Convert an error to a reply; an unexpected error is logged."""
    if isinstance(error, Unauthorized):
        return _unauthorized(error)
    headers = dict(VARY)
    if isinstance(error, RequestError):
        body: dict[str, Any] = {"title": error.title}
        if error.description:
            body["description"] = error.description
        if isinstance(error, NotAcceptable):
            body["link"] = _HELP_406
        elif isinstance(error, MethodNotAllowed):
            headers["Allow"] = error.allow
        elif isinstance(error, UnsupportedMediaType):
            headers.update([error.accepted])
        elif isinstance(error, TooManyRequests):
            headers["Retry-After"] = str(error.retry_after)
        return Reply(error.status, body, headers)
    if isinstance(error, Unavailable):
        LOG.warning("cannot serve now: %s", error)
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
        headers,
    )


def _unauthorized(error: Unauthorized) -> Reply:
    """Return the reply of all OpenStack services to a request without a valid token."""
    body = {"code": error.status, "title": error.title, "message": error.description}
    headers = {**VARY, "WWW-Authenticate": error.challenge}
    return Reply(error.status, {"error": body}, headers)


# -- web pages ----------------------------------------------------------------

_EXPOSED = (
    "X-Auth-Token, X-Subject-Token, X-Service-Token, X-OpenStack-Request-ID, "
    "Retry-After, Location, Content-Location"
)
_MAX_AGE = "86400"  # seconds that a browser caches the answer to a preflight
_LONGEST = 1024  # bytes of the request's header names that an answer repeats


class Cors:
    """Allows web pages to read answers.

    Args:
        origins: The origins of the pages; ``*`` for any.
        credentials: True if the pages may send credentials.
    """

    def __init__(self, origins: Collection[str], *, credentials: bool = False) -> None:
        self._origins = frozenset(origins)
        self._credentials = credentials
        self._differs = "*" not in origins or credentials

    def apply(self, method: str, sent: Mapping[bytes, bytes], answer: Answer) -> None:
        """Add the headers that browsers and caches need to an answer.

        Args:
            method: The method of the request.
            sent: The headers of the request.
            answer: The answer.
        """
        headers = answer.headers
        origin = sent.get(b"origin", b"").decode("latin-1")
        if self._differs:
            vary = headers.get("vary")
            headers["vary"] = f"{vary}, Origin" if vary else "Origin"
        if not origin or not self._origins & {"*", origin}:
            return
        if self._credentials:
            headers["access-control-allow-credentials"] = "true"
        headers["access-control-allow-origin"] = origin if self._differs else "*"
        headers["access-control-expose-headers"] = _EXPOSED
        if is_preflight(method, sent) and "allow" in headers:
            wanted = sent.get(b"access-control-request-headers", b"*").decode("latin-1")
            headers["access-control-allow-methods"] = headers.pop("allow")
            # The head of an answer must not grow with the request.
            shown = wanted if len(wanted) <= _LONGEST else "*"
            headers["access-control-allow-headers"] = shown
            headers["access-control-max-age"] = _MAX_AGE


def is_preflight(method: str, sent: Mapping[bytes, bytes]) -> bool:
    """Return True if a browser asks what a page may send; it sends no token then."""
    return (
        method == "OPTIONS"
        and b"origin" in sent
        and b"access-control-request-method" in sent
    )
