"""Frames of the WebSocket: headers, requests, error answers, and the log of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from zaqarclient.transport import errors, retry
from zaqarclient.transport.api import RequestFrame, Retry
from zaqarclient.transport.channel import REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.auth.base import AuthBackend
    from zaqarclient.transport.request import Request

TITLE = "Websocket Transport Error"

_NOT_AUTHENTICATED = "Not authentified."
"""The error of a service to a connection that is not, or no longer, authenticated
(contract, WebSocket section 5)."""

_SPELLING = {
    name.lower(): name
    for name in (
        "Client-ID",
        "X-Project-ID",
        "X-Auth-Token",
        "URL-Signature",
        "URL-Expires",
        "URL-Methods",
        "URL-Paths",
    )
}
_SECRET = frozenset({"X-Auth-Token", "URL-Signature"})
_HTTP_ONLY = frozenset({"accept", "content-type", "content-length"})
_LISTS = frozenset({"URL-Methods", "URL-Paths"})


class Login(NamedTuple):
    """The endpoint and the credentials of a connection.

    Attributes:
        endpoint: The URL.
        token: The token to authenticate with; None for none.
        headers: The headers of each frame.
        request: The request that they were taken from.
    """

    endpoint: str
    token: str | None
    headers: Mapping[str, Any]
    request: Request

    @classmethod
    def of(cls, request: Request, backend: AuthBackend, client_id: str) -> Login:
        """Return those of a request, and where it has none those of the options.

        Args:
            request: The request that needs a connection.
            backend: The authentication backend of the client's ``auth_opts``.
            client_id: The client id, if the request has none.
        """
        headers = {"Client-ID": client_id, **frame_headers(request.headers)}
        token = headers.pop("X-Auth-Token", None)
        if not backend.sends_token:
            token = None
        elif token is None:
            token = backend.option("auth_token", "token")
        if project := backend.project_id():
            headers.setdefault("X-Project-ID", project)
        return cls(request.endpoint, token, headers, request)

    def tls(self, backend: AuthBackend) -> tuple[bool | str, Any]:
        """Return how certificates are checked, and the client's own.

        The options go before those of the session.
        """
        verify, session = backend.verification(), self.request.session
        if not self.request.verify:
            verify = False
        elif verify is True:
            verify = self.request.cert or getattr(session, "verify", True)
        cert = backend.client_certificate() or getattr(session, "cert", None)
        return verify, cert


def frame_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return headers as frames have them: in one spelling, without HTTP's own."""
    found: dict[str, Any] = {}
    for name, value in headers.items():
        if name.lower() not in _HTTP_ONLY:
            spelled = _SPELLING.get(name.lower(), name)
            several = spelled in _LISTS and isinstance(value, str)
            found[spelled] = value.split(",") if several else value
    return found


def log_line(frame: Mapping[str, Any], reply: Mapping[str, Any], seconds: float) -> str:
    """Return a frame and its answer as a line of the log, without its secrets."""
    headers = {
        name: "***" if name in _SECRET else value
        for name, value in frame["headers"].items()
    }
    shown = json.dumps({**frame, "headers": headers}, default=str)
    answered = json.dumps(reply.get("headers"), default=str)
    return f"{shown} -> {answered} in {seconds:.3f} s"


def frame_of(request: Request) -> RequestFrame:
    """Return a request as the WebSocket has it; without an API, as it stands."""
    if request.api is not None:
        return request.api.frame(request)
    content = request.document
    if request.params:
        content = {**request.params, **(content or {})}
    return RequestFrame(request.operation, content, Retry.UNACCEPTED, _unchanged)


def _unchanged(status: int, body: Any) -> tuple[int, Any]:
    return status, body


def raise_for_status(status: int, body: Any, headers: Mapping[str, Any]) -> None:
    """Raise the error of an answer, if it is one.

    Args:
        status: Its status.
        body: Its body.
        headers: Its headers.

    Raises:
        zaqarclient.transport.errors.TransportError: The status is 400 or more.
    """
    error = errors.error_class(status)
    if error is None:
        return
    document = body if isinstance(body, dict) else {"error": body}
    detail = str(document.get("exception") or "")
    words = document.get("error") or detail
    raise error(
        TITLE,
        words if isinstance(words, str) and words else json.dumps(body),
        status=status,
        # The id under which the service logged the failure.
        request_id=detail if detail.startswith("req-") else headers.get(REQUEST_ID),
        retry_after=retry.seconds_of(document.get("retry_after")),
    )


def is_login_refused(error: errors.TransportError) -> bool:
    """Return whether the service refused the token."""
    return isinstance(error, errors.UnauthorizedError) or (
        isinstance(error, errors.ForbiddenError)
        and error.description == _NOT_AUTHENTICATED
    )
