"""What frames say: requests on the way out, and errors on the way in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from zaqarclient.transport import errors, retry
from zaqarclient.transport.api import Frame, Retry
from zaqarclient.transport.channel import REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.transport.request import Request

TITLE = "Websocket Transport Error"

_NOBODY = "Not authentified."
"""What a service says to who has not proved, or proves no more, who it is
(contract, WebSocket section 5)."""


def frame_of(request: Request) -> Frame:
    """Return a request as the WebSocket has it; without an API, as it stands."""
    if request.api is not None:
        return request.api.frame(request)
    content = json.loads(request.content) if request.content else None
    if request.params:
        content = {**request.params, **(content or {})}
    return Frame(request.operation, content, Retry.UNACCEPTED, _unchanged)


def _unchanged(status: int, body: Any) -> tuple[int, Any]:
    return status, body


def raise_for_status(status: int, body: Any, headers: Mapping[str, Any]) -> None:
    """Raise the error that an answer is, if it is one.

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
        # What a service has under an id of its own is in its log.
        request_id=detail if detail.startswith("req-") else headers.get(REQUEST_ID),
        retry_after=retry.seconds_of(document.get("retry_after")),
    )


def is_login_refused(error: errors.TransportError) -> bool:
    """Return whether the service knows nobody by the token that was used."""
    return isinstance(error, errors.UnauthorizedError) or (
        isinstance(error, errors.ForbiddenError) and error.description == _NOBODY
    )
