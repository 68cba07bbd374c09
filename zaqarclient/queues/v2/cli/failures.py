"""Errors as the user sees them, and the end of the output."""

from __future__ import annotations

import os
import re
import sys
from typing import Final

from zaqarclient.common.text import printable
from zaqarclient.transport.errors import (
    NetworkError,
    ResourceNotFound,
    TransportError,
)

#: What stands before the host of a URL: a user, and most often a password.
_USER: Final = re.compile(r"(?<=//)[^/\s'\"]*@")

_ANOTHER: Final = (
    "the URL is not that of a messaging service, or the service does not offer this."
)


class Unreachable(Exception):
    """The service cannot be reached; the text names it and says why."""


class Refused(Exception):
    """The service, or what stands there in its place, does not do it."""


def explained(error: Exception) -> Exception:
    """Return the error to show for one of a call: the same if it says enough."""
    if isinstance(error, NetworkError):
        return unreachable(error)
    if isinstance(error, KeyError):
        return Refused(f"the answer has no {error}: {_ANOTHER}")
    if isinstance(error, ResourceNotFound) and not error.description:
        # The service describes the resources that it lacks; a proxy does not.
        return Refused(f"{error} {_ANOTHER[0].upper()}{_ANOTHER[1:]}")
    if isinstance(error, TransportError) and error.retry_after is not None:
        return Refused(f"{error} It asks to wait for {error.retry_after:.0f} s.")
    text = str(error)
    return error if printable(text) == text else Refused(printable(text))


def unreachable(error: NetworkError) -> Unreachable:
    """Return the error to show for one of the network."""
    # Another path is another service: that of identity, in most cases.
    path = _url(error).partition("://")[2].partition("/")[2]
    service = "Zaqar at " if not path or path.startswith("v2/") else ""
    where_and_why = (error.description or error.text or str(error)).rstrip(".")
    said = f"cannot reach {service}{where_and_why}"
    return Unreachable(printable(without_users(said)))


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


def discard_output() -> None:
    """Send the rest of the output nowhere, the final flush included."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
