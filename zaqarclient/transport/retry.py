"""When to send a call again, and how long to wait before."""

from __future__ import annotations

import random

from zaqarclient.transport import errors
from zaqarclient.transport.api import Retry

__all__ = ["DEFAULT_RETRIES", "retry_delay"]

DEFAULT_RETRIES = 3

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_LONGEST_RETRY_AFTER = 30.0

_NOTHING_CHANGED = frozenset({429, 503})
_PASSING = frozenset({429, 502, 503, 504})


def retry_delay(
    error: errors.TransportError, rule: Retry, sent: int, retries: int
) -> float | None:
    """Return how many seconds to wait before a call is sent again.

    Args:
        error: How the last attempt failed.
        rule: What the operation allows.
        sent: How many times the call was sent already, from 1.
        retries: How many times it may be sent again at most, from 0.

    Returns:
        At least the server's ``Retry-After`` if it gave one, else a random
        time around 0.2 s doubled each time, so that many clients do not come
        back at once; at most 5 s. None to give up: the bound is reached, the
        rule forbids it, or the server asks for more than 30 s.
    """
    if sent > retries or not _may_repeat(error, rule):
        return None
    if error.retry_after is not None and error.retry_after > _LONGEST_RETRY_AFTER:
        return None
    pause: float = min(_FIRST_PAUSE * 2 ** (sent - 1), _LONGEST_PAUSE)
    # Not a secret: it only spreads the load.
    pause *= random.uniform(0.5, 1.0)  # noqa: S311
    return max(pause, error.retry_after or 0.0)


def _may_repeat(error: errors.TransportError, rule: Retry) -> bool:
    if rule is Retry.NEVER:
        return False
    if isinstance(error, errors.NetworkError):
        return error.transient and (error.unsent or rule is Retry.SAFE)
    if rule is Retry.SAFE:
        return error.status in _PASSING
    return error.status in _NOTHING_CHANGED
