"""What people are told when the network fails."""

from __future__ import annotations

import re
from typing import Final

from zaqarclient.transport.errors import NetworkError

_URL: Final = re.compile(r"https?://[^\s'\"]+?(?=[,:]?(?:\s|$))")


class Unreachable(Exception):
    """The service cannot be reached; the text names it and says why."""


def unreachable(error: NetworkError) -> Unreachable:
    """Return the error to show for one of the network."""
    found = _URL.search(error.text or "")
    url = found.group() if found else ""
    root, version, _ = url.partition("/v2/")
    # Another path is another service: that of identity, in most cases.
    place = f"Zaqar at {root}" if version or not url else url
    return Unreachable(f"cannot reach {place.rstrip()}: {_reason(error)}")


def _reason(error: BaseException) -> str:
    """Return what the system said, below all that libraries made of it."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return getattr(error, "strerror", None) or str(error)
