"""What people are told when the network fails."""

from __future__ import annotations

import re
from typing import Final

from zaqarclient.transport.errors import NetworkError

#: What stands before the host of a URL: a user, and most often a password.
_USER: Final = re.compile(r"(?<=//)[^/\s'\"]*@")


class Unreachable(Exception):
    """The service cannot be reached; the text names it and says why."""


def unreachable(error: NetworkError) -> Unreachable:
    """Return the error to show for one of the network."""
    # Another path is another service: that of identity, in most cases.
    path = _url(error).partition("://")[2].partition("/")[2]
    service = "Zaqar at " if not path or path.startswith("v2/") else ""
    where_and_why = (error.description or error.text or str(error)).rstrip(".")
    return Unreachable(without_users(f"cannot reach {service}{where_and_why}"))


def without_users(text: str) -> str:
    """Return a text without the users and passwords of the URLs in it."""
    return _USER.sub("", text)


def _url(error: BaseException) -> str:
    """Return the URL of the request that failed, where a cause knows it."""
    cause: BaseException | None = error
    while cause is not None:
        url = getattr(getattr(cause, "request", None), "url", None)
        if url:
            return str(url)
        cause = cause.__cause__ or cause.__context__
    return ""
