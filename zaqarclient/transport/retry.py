"""When to send a call again, and how long to wait before."""

from __future__ import annotations

import datetime as dt
import email.utils
import logging
import random
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from zaqarclient.transport import errors
from zaqarclient.transport.api import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0

_NOTHING_CHANGED = frozenset({429, 503})
_PASSING = frozenset({429, 502, 503, 504})


class RetryPolicy(NamedTuple):
    """How often and how long a call is repeated.

    Attributes:
        retries: How many times it may be sent again at most, from 0.
        max_retry_after: The longest ``Retry-After`` to wait for, in seconds; a
            service that asks for more is not waited for. 0 to wait for none.
    """

    retries: int = 3
    max_retry_after: float = 30.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> RetryPolicy:
        """Return what the configuration of a client says."""
        given = {name: options.get(name) for name in cls._fields}
        wanted = cls(**{k: v for k, v in given.items() if v is not None})
        return cls(int(wanted.retries), float(wanted.max_retry_after))


def send_with_retries(
    attempt: Callable[[], T],
    rule: Retry,
    policy: RetryPolicy,
    sleep: Callable[[float], object],
    is_recognized: Callable[[], bool] | None = None,
) -> T:
    """Return what an attempt returns, trying again where that is safe.

    Args:
        attempt: Sends the call once.
        rule: What the operation allows.
        policy: What the caller wants.
        sleep: Waits some seconds.
        is_recognized: Returns True if the service recognizes the call when it comes
            again; asked at most once, when that matters.

    Raises:
        zaqarclient.transport.errors.TransportError: The last attempt failed.
    """
    sent = 0
    while True:
        sent += 1
        try:
            return attempt()
        except errors.TransportError as error:
            if is_recognized and _depends(error, rule):
                rule = Retry.SAFE if is_recognized() else rule
                is_recognized = None
            delay = retry_delay(error, rule, sent, policy)
            if delay is None:
                raise
            # One retry is nothing to worry about; more look like a hang.
            level = logging.INFO if sent == 1 else logging.WARNING
            request = f" Request {error.request_id}." if error.request_id else ""
            _LOG.log(level, "%s%s Sending again in %.1f s.", error, request, delay)
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
    error: errors.TransportError, rule: Retry, sent: int, policy: RetryPolicy
) -> float | None:
    """Return how many seconds to wait before a call is sent again.

    Args:
        error: How the last attempt failed.
        rule: What the operation allows.
        sent: How many times the call was sent already, from 1.
        policy: What the caller wants.

    Returns:
        At least the server's ``Retry-After`` if it gave one, else a random
        time around 0.2 s doubled each time, so that many clients do not come
        back at once; at most 5 s. None to give up: the bound is reached, the
        rule forbids it, or the server asks for a longer pause than the caller
        wants to make.
    """
    if sent > policy.retries or not _may_repeat(error, rule):
        return None
    asked = error.retry_after or 0.0
    if asked > policy.max_retry_after:
        return None
    return max(jittered(_FIRST_PAUSE, sent - 1, _LONGEST_PAUSE), asked)


def _depends(error: errors.TransportError, rule: Retry) -> bool:
    """Return True if a failed call may only be sent again if it is recognized."""
    return _may_repeat(error, Retry.SAFE) and not _may_repeat(error, rule)


def _may_repeat(error: errors.TransportError, rule: Retry) -> bool:
    if rule is Retry.NEVER:
        return False
    if isinstance(error, errors.NetworkError):
        return error.transient and (error.unsent or rule is Retry.SAFE)
    if rule is Retry.SAFE:
        return error.status in _PASSING
    return error.status in _NOTHING_CHANGED


def seconds_of(retry_after: object) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for.

    Args:
        retry_after: A number, as text or not, or the text of a date.

    Returns:
        None if it is anything else.
    """
    text = str(retry_after or "").strip()
    if text.isdecimal():
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=dt.UTC)
    return max(0.0, (when - dt.datetime.now(dt.UTC)).total_seconds())
