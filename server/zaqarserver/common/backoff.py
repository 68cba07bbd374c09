"""Waits that grow while something keeps failing."""

from __future__ import annotations

import math
from collections.abc import Iterator


def doubling(first: float, longest: float = math.inf) -> Iterator[float]:
    """Yield waits without end: each is twice the one before, up to a bound.

    Args:
        first: The first wait, seconds.
        longest: The bound, seconds.
    """
    wait = first
    while True:
        yield wait
        wait = min(2 * wait, longest)
