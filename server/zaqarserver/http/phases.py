"""The states of an HTTP connection."""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    """The states of a connection, by what it waits for."""

    FRESH = "the first byte"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    ANSWER = "the answer to a whole request"
    IDLE = "the next request"
    CLOSING = "the peer to close, after the last answer"
    GONE = "nothing"
