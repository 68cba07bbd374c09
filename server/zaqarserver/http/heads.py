"""What the head of a request says about its body, and its form for ASGI."""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from typing import Any

import httptools
import msgspec

from zaqarserver.http.refusals import Refusal

Pairs = Sequence[tuple[bytes, bytes]]

_VERSIONS = ("1.0", "1.1")


class Head(msgspec.Struct, frozen=True, gc=False):
    """The head of a request, header names in lower case."""

    method: bytes
    target: bytes
    version: str
    headers: Pairs

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all lines of a header."""
        return [value for one, value in self.headers if one == name]

    def encode(self) -> bytes:
        """Return the head as it is sent."""
        lines = [
            self.method, b" ", self.target, b" HTTP/", self.version.encode(), b"\r\n"
        ]  # fmt: skip
        for name, value in self.headers:
            lines += (name, b": ", value, b"\r\n")
        return b"".join([*lines, b"\r\n"])

    def scope(self, server: Any, client: Any) -> dict[str, Any]:
        """Return the scope of ASGI.

        Raises:
            httptools.HttpParserInvalidURLError: The target is none.
        """
        url = httptools.parse_url(self.target)
        path = url.path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": self.version,
            "method": self.method.decode("ascii"),
            "scheme": "http",
            "path": urllib.parse.unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "root_path": "",
            "headers": self.headers,
            "server": server,
            "client": client,
        }


class Framing(msgspec.Struct, frozen=True, gc=False):
    """How a body comes.

    Attributes:
        length: Its bytes, 0 if they are not known.
        has_body: Whether there is one.
        expects: Whether the peer holds it back until it is asked for it.
    """

    length: int = 0
    has_body: bool = False
    expects: bool = False


_NO_BODY = Framing()


def framing(head: Head) -> Framing:
    """Return how the body comes.

    Raises:
        Refusal: Two readers of this head could disagree about it.
    """
    if head.version not in _VERSIONS:
        raise Refusal(400, "The version of HTTP must be 1.1 or 1.0.")
    codings: list[bytes] = []
    length = 0
    expects = False
    for name, value in head.headers:
        if name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            codings.append(value.lower())
        elif name == b"expect":
            expects = value.lower() == b"100-continue"
    if not codings and not length:
        return _NO_BODY
    if codings and (codings != [b"chunked"] or head.version == "1.0"):
        raise Refusal(
            400, "Transfer-Encoding must be chunked, sent once, and with HTTP/1.1."
        )
    return Framing(length, True, expects and head.version != "1.0")
