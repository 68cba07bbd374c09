"""Signatures of pre-signed URLs, in headers or in the query (``rest-v2`` 2.8).

In headers a client of this service presents one. The query is for everything else: a
link that curl can post to. What is known from the query must not be passed on by the
answer: not to pages that it links to, not to caches, not to logs of its headers.
"""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qsl

from zaqarserver.errors import NotFound
from zaqarserver.http.requests import RestRequest
from zaqarserver.identity.auth import header_text
from zaqarserver.operations.signed_urls import Signature

#: Headers of each answer to a request with a signature in its query.
PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_HEADERS = (
    b"url-paths",
    b"url-methods",
    b"x-project-id",
    b"url-expires",
    b"url-signature",
)
_MEMBERS = ("paths", "methods", "project", "expires", "signature")
#: Lists whose query may name any member of the metadata, ``signature`` too.
_FILTERED = ("/v2/queues", "/v2/topics")


def is_link(request: RestRequest) -> bool:
    """Return True if the query of a request presents a signature, valid or not."""
    query = request.query
    if "signature" not in query and "%" not in query:
        return False
    names = {name for name, _ in _pairs(query)}
    return "signature" in names and (
        request.path not in _FILTERED or names.issuperset(_MEMBERS)
    )


def is_signed(request: RestRequest) -> bool:
    """Return True if a request presents a signature in any form."""
    return request.is_link or b"url-signature" in request.headers


def signature_of(request: RestRequest) -> Signature:
    """Return the signature that a request presents, not yet checked.

    Raises:
        NotFound: A part is missing, was sent twice, or both forms were used.
    """
    parts = _of_query(request) if request.is_link else _of_headers(request)
    if not all(parts):
        raise not_covered()
    paths, methods, *rest = parts
    return Signature(paths.split(","), methods.split(","), *rest)


def not_covered() -> NotFound:
    """Return the error of every signature that does not admit a request."""
    return NotFound(title="404 Not Found")


def client_of(signature: Signature) -> str:
    """Return the client id of requests with a link that do not send one."""
    return hashlib.sha256(f"client {signature.signature}".encode()).hexdigest()[:32]


def _of_headers(request: RestRequest) -> list[str]:
    return [header_text(request.headers, name) for name in _HEADERS]


def _of_query(request: RestRequest) -> list[str]:
    pairs = _pairs(request.query)
    found = dict(pairs)
    is_twice = sum(name in _MEMBERS for name, _ in pairs) > len(_MEMBERS)
    if is_twice or b"url-signature" in request.headers:
        return [""]
    return [found.get(name, "") for name in _MEMBERS]


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)
