"""Waiting for messages, longer than one request may."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from zaqarclient.common import interrupts

if TYPE_CHECKING:
    from zaqarclient.queues.v2.client import Client

T = TypeVar("T")

LEAST_PAUSE = 0.25
MOST_PAUSE = 5.0
"""Seconds between two requests to a service that does not wait itself."""


def wait_for(client: Client, wait: float | None, ask: Callable[[int | None], T]) -> T:
    """Return what a request finds, waiting for it as long as it finds nothing.

    A service that waits itself is asked again for what is left of a longer time; any
    other is asked in growing pauses.

    Args:
        client: The client.
        wait: Seconds to wait.
        ask: Sends one request; its argument is how many seconds the service waits.
    """
    if not wait:
        return ask(None)
    most = client.longest_wait()
    if not most:
        return until_found(lambda: ask(None), wait)
    ends, interrupt = time.monotonic() + wait, interrupts.current()
    while True:
        left = ends - time.monotonic()
        with interrupt.waiting():
            found = ask(max(0, min(most, math.ceil(left))))
        if found or left <= most or interrupt.is_set:
            return found


def until_found(
    read: Callable[[], T],
    patience: float,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Return what a read finds, reading again while it finds nothing.

    Args:
        read: Reads from the service once.
        patience: How long to read, in seconds; 0 reads once.
        sleep: Waits some seconds.
        clock: Returns the time, in seconds.
    """
    ends, pause = clock() + patience, LEAST_PAUSE
    while not (found := read()):
        left = ends - clock()
        if left <= 0:
            break
        sleep(min(pause, left))
        pause = min(pause * 2, MOST_PAUSE)
    return found
