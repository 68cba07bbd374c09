"""Addresses of hosts, looked up where a silent name server stops nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Sequence

from zaqarserver.common.tasks import SingleFlight, in_thread

#: Seconds after which what was found the last time is used.
LOOKUP_SECONDS = 0.5


def _look_up(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Resolver:
    """Looks up hosts, each in a thread of its own and once at a time.

    The threads of the event loop would be used up by a name server that hangs.
    """

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}
        self._lookups: SingleFlight[str, list[str]] = SingleFlight()

    async def find(self, host: str) -> Sequence[str]:
        """Return the addresses of a host, those found before if it takes long.

        Raises:
            OSError: There are none.
        """
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(host)
            return [host]
        try:
            async with asyncio.timeout(LOOKUP_SECONDS if host in self._known else None):
                return await self._lookups.join(host, lambda: self._find(host))
        except (OSError, TimeoutError):
            if host not in self._known:
                raise
        return self._known[host]

    async def _find(self, host: str) -> list[str]:
        self._known[host] = await in_thread(lambda: _look_up(host), f"lookup {host}")
        return self._known[host]

    def close(self) -> None:
        """Wait for nothing more."""
        self._lookups.close()
