"""What every flow is made of."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qs, urlsplit

from zaqarclient.errors import InvalidOperation
from zaqarclient.queues.v2.api import Call, operation_of
from zaqarclient.queues.v2.shapes import mismatch
from zaqarclient.transport import errors
from zaqarclient.transport.response import Response

T = TypeVar("T")

_EMPTY = frozenset({"", "null"})
_SHOWN = 200
"""Characters of an answer that nobody understands."""

Flow: TypeAlias = Generator[Call, Response, T]
"""Yields calls, is sent their answers, returns a result."""

Document: TypeAlias = dict[str, Any]
"""A JSON object as the service gave it."""


def read(operation: str, /, **arguments: Any) -> Flow[Any]:
    """Send one call and return the answer's document, None if it has none."""
    response = yield Call(operation, arguments)
    return document_of(response, operation)


def done(operation: str, /, **arguments: Any) -> Flow[None]:
    """Send one call whose answer says nothing but that it was carried out."""
    response = yield Call(operation, arguments)
    document_of(response)


def page(key: str, operation: str, /, **arguments: Any) -> Flow[Document]:
    """Send one call and return a page, an empty one if the answer is empty."""
    document = yield from read(operation, **arguments)
    return document or {"links": [], key: []}


def follow(ref: str) -> Flow[Any]:
    """Read what a link points at, always from the service itself.

    Args:
        ref: A path with or without ``/v2/``, or a whole URL, of which only
            the part from the version on counts: the token goes nowhere else.
    """
    parts = urlsplit(ref)
    path = parts.path
    if parts.netloc:
        path = path[path.find("/v2/") :] if "/v2/" in path else path
    query = f"?{parts.query}" if parts.query else ""
    ref = path + query
    response = yield Call("", {}, ref=ref)
    try:
        operation, _ = operation_of(ref)
    except InvalidOperation:
        operation = None
    return document_of(response, operation)


def document_of(response: Response, operation: str | None = None) -> Any:
    """Return what the answer to an operation holds, None if it is empty.

    Raises:
        zaqarclient.transport.errors.UnexpectedAnswer: Something else than the
            service answered, such as the page of a proxy: to take that for an
            empty answer would lose messages without a word.
    """
    document = response.deserialized_content
    text = (response.content or "").strip()
    wrong = None if operation is None else mismatch(operation, document)
    if document is None and response.status_code is not None and text not in _EMPTY:
        wrong = "it is not JSON"
    if wrong:
        raise errors.UnexpectedAnswer(
            description=wrong[0].upper() + wrong[1:],
            text=text[:_SHOWN],
            status=response.status_code,
        )
    return document


def next_link(page: Mapping[str, Any]) -> str | None:
    """Return the link of a page to the next one, None if there is none."""
    for link in page.get("links") or ():
        if link.get("rel") == "next":
            return str(link["href"])
    return None


def claim_id_of(href: str) -> str | None:
    """Return the claim that a message's link names, None if it names none."""
    found = parse_qs(urlsplit(href).query).get("claim_id")
    return found[0] if found else None
