"""URIs of stores as they may be shown."""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://)[^/?#]*@")
_PASSWORD = re.compile(r"([?&][a-z_]*password=)[^&#]*", re.ASCII)


def masked(uri: str) -> str:
    """Return a URI as it may be logged: without user and passwords."""
    return _PASSWORD.sub(r"\1***", _USER.sub("***@", uri))
