"""A client whose only credentials are a signed URL.

It knows what the URL allows, so its errors are clearer than the service's 404
(contract, REST 2.8).
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zaqarclient.auth.signed_url import (
    SignedURL,
    format_signed_url,
    parse_signed_url,
)
from zaqarclient.errors import ZaqarError
from zaqarclient.queues.v2.client import Client
from zaqarclient.transport import base, errors

if TYPE_CHECKING:
    from zaqarclient.transport.request import Request
    from zaqarclient.transport.response import Response


def read(text: str) -> SignedURL:
    """Return the signed URL that an option or a variable gives.

    Args:
        text: The URL in one line; ``@FILE`` for a file that holds it, ``-`` for
            the first line of the standard input.

    Raises:
        zaqarclient.errors.ZaqarError: It cannot be read or is not valid.
    """
    try:
        if text == "-":
            text = _first_line()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="ascii")
        return parse_signed_url(text)
    except OSError as error:
        raise ZaqarError(
            f"cannot read the signed URL: {error.filename}: {error.strerror}"
        ) from error
    except ValueError as error:
        raise ZaqarError(f"this is no signed URL: {error}") from error


class SignedClient(Client):
    """A client of one queue, for as long as a signed URL is valid.

    Args:
        signed: The signed URL.
        session: A keystoneauth1 session without credentials, for its TLS
            settings and timings.
        conf: As for `Client`.
    """

    def __init__(
        self, signed: SignedURL, session: Any = None, conf: Any = None
    ) -> None:
        super().__init__(format_signed_url(signed), 2, conf, session)
        self._signed = signed

    def _get_transport(self, request: Request) -> base.Transport:
        return _ExplainingTransport(super()._get_transport(request), self._signed)


class _ExplainingTransport(base.Transport):
    """Sends what a signed URL covers, and explains why it is refused."""

    def __init__(self, inner: base.Transport, signed: SignedURL) -> None:
        super().__init__(inner.options)
        self._inner = inner
        self._signed = signed

    def send(self, request: Request) -> Response:
        method, path = _target(request)
        if not _covers(self._signed, method, path):
            raise errors.ForbiddenError(
                description=f"this needs {method} {path}, and the signed URL allows "
                f"{', '.join(self._signed.methods)} on "
                f"{', '.join(self._signed.paths)}: ask for one that does "
                "(queue signed url --paths ... --methods ...)"
            )
        try:
            return self._inner.send(request)
        except (errors.ResourceNotFound, errors.ForbiddenError) as error:
            if error.description and not isinstance(error, errors.ForbiddenError):
                raise  # it is the message or the claim that is not there
            raise errors.UnauthorizedError(
                description=f"{_why_refused(self._signed)}; ask for a new one",
                request_id=error.request_id,
            ) from error


def _target(request: Request) -> tuple[str, str]:
    """Return the method and the path that a request has over REST.

    What is signed is always that, also where a frame is sent.
    """
    if not request.operation or request.api is None:
        path = request.ref.partition("?")[0].lstrip("/").removeprefix("v2/")
        return "GET", f"/v2/{path}"
    known = request.api.get_schema(request.operation)
    return known["method"], "/v2/" + known["ref"].format_map(request.params)


def _covers(signed: SignedURL, method: str, path: str) -> bool:
    return method in signed.methods and any(
        path == known or path.startswith(f"{known}/") for known in signed.paths
    )


def _why_refused(signed: SignedURL) -> str:
    """Return the likely reason why a signed URL was refused."""
    now = dt.datetime.now(dt.UTC)
    if signed.ends <= now:
        ago = dt.timedelta(seconds=int((now - signed.ends).total_seconds()))
        return f"the signed URL expired at {signed.expires} UTC, {ago} ago"
    return (
        "the service does not accept the signed URL: it was revoked, or differs "
        "from how it was made"
    )


def _first_line() -> str:
    if sys.stdin is None:
        raise ValueError("there is no standard input to read it from")
    # The rest of the input is the command's: nothing of it may get into a buffer.
    stream = sys.stdin.buffer
    line: bytes = getattr(stream, "raw", stream).readline()
    return line.decode("ascii")
