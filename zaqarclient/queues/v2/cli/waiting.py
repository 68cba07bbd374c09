"""Waiting for messages by asking again."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from zaqarclient.queues.v2.cli.options import seconds
from zaqarclient.queues.v2.cli.tail import LEAST_PAUSE

T = TypeVar("T", bound=Sequence[object])

#: The longest pause, in seconds: what a new message waits at most.
_MOST_PAUSE: Final = 2.0


def add_wait(parser: argparse.ArgumentParser) -> None:
    """Add ``--wait``."""
    parser.add_argument(
        "--wait",
        metavar="<seconds>",
        type=seconds,
        default=0.0,
        help="If there is no free message, ask again until there is one, for so "
        "long at most (default: 0)",
    )


def until_found(
    look: Callable[[], T],
    patience: float,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Return what a look finds, looking again while it finds nothing.

    Args:
        look: Asks the service once.
        patience: How long to look, in seconds; 0 looks once.
        sleep: Waits some seconds.
        clock: Tells the time, in seconds.
    """
    ends, pause = clock() + patience, LEAST_PAUSE
    while not (found := look()):
        left = ends - clock()
        if left <= 0:
            break
        sleep(min(pause, left))
        pause = min(pause * 2, _MOST_PAUSE)
    return found
