"""When to send a call again, and how long to wait before."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

from zaqarclient.transport import errors
from zaqarclient.transport.api import Retry

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_RETRIES", "jittered", "persist", "retry_delay"]

T = TypeVar("T")

DEFAULT_RETRIES = 3

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_LONGEST_RETRY_AFTER = 30.0

_NOTHING_CHANGED = frozenset({429, 503})
_PASSING = frozenset({429, 502, 503, 504})


def persist(
    attempt: Callable[[], T],
    rule: Retry,
    retries: float | str | None,
    sleep: Callable[[float], object],
) -> T:
    """Return what an attempt returns, trying again where that is safe.

    Args:
        attempt: Sends the call once.
        rule: What the operation allows.
        retries: How many times it may be sent again at most; None for 3.
        sleep: Waits some seconds.

    Raises:
        zaqarclient.transport.errors.TransportError: The last attempt failed.
    """
    most = DEFAULT_RETRIES if retries is None else int(retries)
    sent = 0
    while True:
        sent += 1
        try:
            return attempt()
        except errors.TransportError as error:
            delay = retry_delay(error, rule, sent, most)
            if delay is None:
                raise
        sleep(delay)


def jittered(first: float, times: int, longest: float) -> float:
    """Return a pause in seconds that doubles each time, up to a bound.

    Args:
        first: The first pause.
        times: How many pauses there were.
        longest: The bound.

    Returns:
        Between half of the pause and all of it, so that many clients do not
        come back at once.
    """
    # The exponent is bounded too: a pause may be asked for without end.
    pause = min(first * 2.0 ** min(times, 30), longest)
    # Not a secret: it only spreads the load.
    return pause * random.uniform(0.5, 1.0)  # noqa: S311


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
    pause = jittered(_FIRST_PAUSE, sent - 1, _LONGEST_PAUSE)
    return max(pause, error.retry_after or 0.0)


def _may_repeat(error: errors.TransportError, rule: Retry) -> bool:
    if rule is Retry.NEVER:
        return False
    if isinstance(error, errors.NetworkError):
        return error.transient and (error.unsent or rule is Retry.SAFE)
    if rule is Retry.SAFE:
        return error.status in _PASSING
    return error.status in _NOTHING_CHANGED
