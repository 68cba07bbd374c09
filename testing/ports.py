"""Loopback ports that nothing listens on now."""

from __future__ import annotations

import contextlib
import random
import socket


def free_port() -> int:
    """Return a port that the system chose."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_cluster_port() -> int:
    """Return a port whose neighbour 10000 above, for a cluster's bus, is free too."""
    while True:
        port = free_port()
        with socket.socket() as bus, contextlib.suppress(OSError, OverflowError):
            bus.bind(("127.0.0.1", port + 10_000))
            return port


def free_ports(count: int) -> int:
    """Return the first of so many free ports in a row.

    They lie below those that the system gives to connections: of those, the next one
    is often taken.
    """
    while True:
        first = random.randrange(10_000, 30_000)  # noqa: S311 - no secret
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for number in range(first, first + count):
                probe = stack.enter_context(socket.socket())
                probe.bind(("127.0.0.1", number))
            return first
