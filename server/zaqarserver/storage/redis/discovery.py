"""How servers are found: addresses of hosts, and answers on which most servers agree.

No request waits for a name server or a node that hangs: lookups run in threads of their
own, and questions go to several servers at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections import Counter
from collections.abc import Coroutine, Hashable, Iterable, Sequence
from typing import Any, TypeVar

from zaqarserver.common.tasks import SingleFlight, in_thread

A = TypeVar("A", bound=Hashable)

#: Seconds after which the addresses found the last time are used.
LOOKUP_SECONDS = 0.5


async def majority(
    questions: Iterable[Coroutine[Any, Any, A | None]], seconds: float
) -> A | None:
    """Ask at once; return the first answer that more than half of those asked give.

    If there is none when all have answered or the time is over, return the most
    frequent one; ``None`` if none gave an answer.
    """
    tasks = [asyncio.ensure_future(question) for question in questions]
    votes: Counter[A] = Counter()
    try:
        async with asyncio.timeout(seconds):
            for coming in asyncio.as_completed(tasks):
                answer = await coming
                if answer is None:
                    continue
                votes[answer] += 1
                if 2 * votes[answer] > len(tasks):
                    return answer
    except TimeoutError:
        pass
    finally:
        for task in tasks:
            task.cancel()
    return max(votes, key=votes.__getitem__, default=None)


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
        """Cancel what waits for lookups."""
        self._lookups.close()
