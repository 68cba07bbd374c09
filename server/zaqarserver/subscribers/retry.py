"""Retry policies of notifications (``notifications`` section 6)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, overload

import msgspec

from zaqarserver.errors import BadRequest

Backoff = Literal["linear", "arithmetic", "geometric", "exponential"]

_FUNCTIONS = ("linear", "arithmetic", "geometric", "exponential")
_INTEGERS = (
    "retries_with_no_delay",
    "minimum_delay_retries",
    "minimum_delay",
    "maximum_delay",
    "maximum_delay_retries",
)
_STEP = 5  # seconds between two backoff steps, as far as the length is concerned
_LEAST_SPREAD = 10  # seconds between minimum_delay and maximum_delay
_TOP = 2**31 - 1


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and after which waits, a failed notification is retried.

    Attributes:
        retries_with_no_delay: Retries at once, at least 0.
        minimum_delay_retries: Retries after ``minimum_delay`` each, at least 0.
        minimum_delay: Seconds, at least 0; at least 1 where the backoff
            function multiplies.
        maximum_delay: Seconds, at least 10 more than ``minimum_delay``.
        maximum_delay_retries: Retries after ``maximum_delay`` each, at least 0.
        retry_backoff_function: How the waits grow between the two delays.
        ignore_subscription_override: True if the queue's policy takes precedence over
            the subscription's.
    """

    retries_with_no_delay: int = 3
    minimum_delay_retries: int = 3
    minimum_delay: int = 5
    maximum_delay: int = 30
    maximum_delay_retries: int = 3
    retry_backoff_function: Backoff = "linear"
    ignore_subscription_override: bool = False


DEFAULT = RetryPolicy()


def check_policy(raw: Any) -> RetryPolicy:
    """Return the policy that ``raw`` describes; unknown members are ignored.

    Raises:
        BadRequest: It is not an object, or a member is of the wrong type or out
            of bounds; the text names it (``notifications`` 6.3).
    """
    if not isinstance(raw, Mapping):
        raise BadRequest("retry_policy must be a dict.")
    for key in _INTEGERS:
        if key in raw:
            _check_integer(key, raw[key])
    function = raw.get("retry_backoff_function", DEFAULT.retry_backoff_function)
    if not isinstance(function, str):
        raise BadRequest("retry_backoff_function must be a string.")
    if function not in _FUNCTIONS:
        raise BadRequest(
            "invalid retry_backoff_function. It must be one of "
            f"{', '.join(_FUNCTIONS)}."
        )
    override = raw.get("ignore_subscription_override", False)
    if type(override) is not bool:
        raise BadRequest("ignore_subscription_override must be a boolean.")
    known = {key: raw[key] for key in RetryPolicy.__struct_fields__ if key in raw}
    policy = RetryPolicy(**known)
    _check_delays(policy)
    return policy


def _check_integer(key: str, value: Any) -> None:
    # bool is a subclass of int, but not an integer in JSON.
    if type(value) is not int:
        raise BadRequest(f"Retry policy: {key} must be a integer.")
    if not 0 <= value <= _TOP:
        raise BadRequest(f"Retry policy: {key} must be from 0 to {_TOP}.")


def _check_delays(policy: RetryPolicy) -> None:
    low, high = policy.minimum_delay, policy.maximum_delay
    if high < low:
        raise BadRequest("minimum_delay must less than maximum_delay.")
    if high - low < _LEAST_SPREAD:
        raise BadRequest(
            "invalid minimum_delay and maximum_delay. They must be at least "
            f"{_LEAST_SPREAD} seconds apart."
        )
    if low < 1 and policy.retry_backoff_function in ("geometric", "exponential"):
        raise BadRequest(
            "Retry policy: minimum_delay must be at least 1 for a "
            f"{policy.retry_backoff_function} backoff."
        )


def choose(queue: Any, subscription: Any) -> RetryPolicy:
    """Return the effective policy (``notifications`` 6.1).

    An invalid stored policy counts as absent: deliveries must continue, whatever an
    older server has stored.

    Args:
        queue: ``_retry_policy`` of the queue's metadata, or ``None``.
        subscription: ``_retry_policy`` of the subscription's options, or ``None``.
    """
    of_queue, of_subscription = _usable(queue), _usable(subscription)
    overruled = any(
        policy is not None and policy.ignore_subscription_override
        for policy in (of_queue, of_subscription)
    )
    if of_subscription is not None and not overruled:
        return of_subscription
    return of_queue or DEFAULT


def _usable(raw: Any) -> RetryPolicy | None:
    if not raw:
        return None
    try:
        return check_policy(raw)
    except BadRequest:
        return None


class RetrySchedule(Sequence[int]):
    """The waits of a policy, in seconds, one for each retry.

    Waits are computed one at a time: a policy may allow more retries than fit in
    memory.
    """

    __slots__ = ("_backoff", "_policy")

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._backoff = _backoff_length(policy)

    def __len__(self) -> int:
        policy = self._policy
        return (
            policy.retries_with_no_delay
            + policy.minimum_delay_retries
            + self._backoff
            + policy.maximum_delay_retries
        )

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        policy = self._policy
        if index < policy.retries_with_no_delay:
            return 0
        index -= policy.retries_with_no_delay
        if index < policy.minimum_delay_retries:
            return policy.minimum_delay
        index -= policy.minimum_delay_retries
        if index < self._backoff:
            return _backoff(policy, index, self._backoff)
        return policy.maximum_delay

    def __iter__(self) -> Iterator[int]:
        return (self[number] for number in range(len(self)))


def schedule(policy: RetryPolicy) -> RetrySchedule:
    """Return the waits before each retry (``notifications`` 6.2)."""
    return RetrySchedule(policy)


def _backoff_length(policy: RetryPolicy) -> int:
    spread = policy.maximum_delay - policy.minimum_delay
    if policy.retry_backoff_function == "linear":
        return -(-spread // _STEP)  # the maximum itself is excluded
    return spread // _STEP


def _backoff(policy: RetryPolicy, index: int, length: int) -> int:
    """Return element ``index`` (from 0) of the backoff list, truncated."""
    low, high = policy.minimum_delay, policy.maximum_delay
    match policy.retry_backoff_function:
        case "linear":
            return low + index * _STEP
        case "arithmetic":
            growth = 2 * (high - low) / (length * (length - 1))
            return int(low + (index + 1) * index * growth / 2)
        case "geometric":
            return int(low * _ratio(low, high, length) ** index)
        case "exponential":
            ratio = _ratio(low, high, length)
            return int(low / ratio * ratio ** (index + 1))


def _ratio(low: int, high: int, length: int) -> float:
    return float(10 ** (math.log10(high / low) / (length - 1)))
