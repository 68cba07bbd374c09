"""What a consumer is told: how to consume, how long failures rest, when to stop."""

from __future__ import annotations

import math
import random
import signal
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict

from zaqarclient.errors import LeaseLost

if TYPE_CHECKING:
    from zaqarclient.queues.v2.consumer import Consumer

__all__ = ["Backoff", "ConsumeOptions", "LeaseLost", "stop_on_signals"]

#: The consumers of this process that are at work.
LIVE: weakref.WeakSet[Consumer] = weakref.WeakSet()


@dataclass(frozen=True)
class Backoff:
    """How long a message that failed rests before it is free again.

    The time doubles with each claim of the message, and varies at random between half
    of that and the whole.

    Args:
        first: Seconds after the first failure.
        most: Seconds at most; 900 is the most that the service takes.

    Raises:
        ValueError: Not 0 <= first <= most <= 900.
    """

    first: float = 1
    most: float = 300

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.most <= 900:
            raise ValueError(
                f"a backoff is 0 <= first <= most <= 900 seconds, not {self}"
            )

    def seconds(self, claims: int) -> int:
        """Return how long a message rests that was claimed so often."""
        doubled: float = self.first * 2 ** min(max(claims, 1) - 1, 30)
        whole = min(self.most, doubled)
        return math.ceil(whole * random.uniform(0.5, 1))  # noqa: S311 - no secret


Action: TypeAlias = Literal["release", "bury", "stop"]
#: Gets the message and its error, and chooses; None stands for "release".
Choose: TypeAlias = Callable[[Any, Exception], Action | None]

_ACTIONS: Final = ("release", "bury", "stop")


class ConsumeKeywords(TypedDict, total=False):
    """The arguments of `Queue.consume`."""

    lease: int
    limit: int
    wait: float
    concurrency: int
    on_error: Action | Choose
    backoff: Backoff
    idle_timeout: float | None


@dataclass(frozen=True)
class ConsumeOptions:
    """How to consume; see `Queue.consume`.

    Args:
        grace: Seconds that messages live at least beyond their lease.
        count: End after so many messages.
    """

    lease: int = 60
    limit: int = 10
    wait: float = 20
    concurrency: int = 1
    on_error: Action | Choose = "release"
    backoff: Backoff = Backoff()
    idle_timeout: float | None = None
    grace: int = 60
    count: int | None = None

    def __post_init__(self) -> None:
        for name, least in (
            ("lease", 1),
            ("limit", 1),
            ("wait", 0),
            ("concurrency", 1),
        ):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be at least {least}")
        if not callable(self.on_error) and self.on_error not in _ACTIONS:
            raise ValueError(
                f"on_error must be one of {', '.join(_ACTIONS)} or callable"
            )

    @property
    def most(self) -> int:
        """How many messages are held at once: given out, or not yet deleted."""
        return max(self.limit, self.concurrency)


def stop_on_signals(within: float = 30) -> None:
    """Stop the consumers of this process in good order at SIGTERM and SIGINT.

    They claim no more messages, and what runs may finish; the rest is released at once.
    A second signal does what it did before this call. Call it in the main thread.

    Args:
        within: Seconds after which handlers are waited for no longer; their messages
            are released then too. A loop over messages is never interrupted.
    """
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def stop(*_: Any) -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        # The signal may have come while this very thread holds the locks.
        threading.Thread(target=_stop_all, args=(within,), daemon=True).start()

    for number in signals:
        signal.signal(number, stop)


def _stop_all(within: float) -> None:
    for consumer in list(LIVE):
        consumer.stop(within)
