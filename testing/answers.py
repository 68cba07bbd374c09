"""Clients that ask all the time, and what they were answered."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

import aiohttp

_PATIENCE = 30.0
HEADERS = {
    "Client-ID": "3381af92-2b9e-11e3-b191-71861300734c",
    "X-Project-ID": "p",
    "Content-Type": "application/json",
}
POST = ("POST", "messages", b'{"messages": [{"body": 1, "ttl": 3600}]}')
LIST = ("GET", "messages?echo=true", b"")
POP = ("DELETE", "messages?pop=1", b"")
CLAIM = ("POST", "claims?limit=1", b'{"ttl": 60, "grace": 60}')


@dataclass(frozen=True)
class Answer:
    """The answer to a client.

    Attributes:
        queue: The queue that it asked for something.
        asked: When it asked, in seconds of the monotonic clock.
        came: When the answer was there.
        status: The status; 0 if the connection ended without one.
        retry_after: Whether it said when to try again.
    """

    queue: str
    asked: float
    came: float
    status: int
    retry_after: bool = False

    @property
    def good(self) -> bool:
        """True if it is the expected answer."""
        return 200 <= self.status < 300


class Load:
    """Clients of a deployment, each with its own queue and one request at a time.

    Args:
        urls: The servers, or their balancer.
        queues: The queues.
        requests: What each client asks, over and over: method, the rest of the path,
            body.

    Attributes:
        answers: What they got, in the order in which it came.
    """

    def __init__(
        self,
        urls: Sequence[str],
        queues: Iterable[str],
        requests: Sequence[tuple[str, str, bytes]] = (POST,),
    ) -> None:
        self._urls = urls
        self._requests = requests
        self._queues = list(queues)
        self._over = False
        self.answers: list[Answer] = []

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Ask until the end of the block."""
        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            headers=HEADERS, timeout=timeout, connector=connector
        ) as session:
            tasks = [
                asyncio.create_task(self._ask(session, number, queue))
                for number, queue in enumerate(self._queues)
            ]
            try:
                yield
            finally:
                self._over = True
                await asyncio.gather(*tasks)

    async def _ask(
        self, session: aiohttp.ClientSession, number: int, queue: str
    ) -> None:
        base = f"{self._urls[number % len(self._urls)]}/v2/queues/{queue}"
        for method, path, body in itertools.cycle(self._requests):
            if self._over:
                return
            asked = time.monotonic()
            status, retry_after = 0, False
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with session.request(
                    method, f"{base}/{path}", data=body
                ) as response:
                    await response.read()
                    status = response.status
                    retry_after = "Retry-After" in response.headers
            answer = Answer(queue, asked, time.monotonic(), status, retry_after)
            self.answers.append(answer)
            if not answer.good:
                await asyncio.sleep(0.05)  # as clients do

    async def until_served(self, queues: Iterable[str] = ()) -> float:
        """Wait until each client was served from now on; return the seconds."""
        began = time.monotonic()
        missing = set(queues or self._queues)
        async with asyncio.timeout(_PATIENCE):
            while missing:
                await asyncio.sleep(0.02)  # polling what other tasks get
                missing -= {
                    one.queue
                    for one in self.answers[-1000:]
                    if one.good and one.asked > began
                }
        return time.monotonic() - began

    # -- what came of it --------------------------------------------------------

    def statuses(self) -> Counter[int]:
        """Count the answers by status."""
        return Counter(one.status for one in self.answers)

    def slowest(self) -> float:
        """Return the longest time that an answer took."""
        return max(one.came - one.asked for one in self.answers)

    def longest_gap(self, queues: Iterable[str], begin: float, end: float) -> float:
        """Return the longest time in which a client was not served, of those named."""
        longest = 0.0
        for queue in queues:
            times = [
                one.came
                for one in self.answers
                if one.queue == queue and one.good and begin < one.came < end
            ]
            marks = [begin, *times, end]
            longest = max(longest, *(b - a for a, b in itertools.pairwise(marks)))
        return longest

    def bad(self) -> list[Answer]:
        """Return what is neither good nor a 503 that says when to come again."""
        return [
            one
            for one in self.answers
            if not one.good and not (one.status == 503 and one.retry_after)
        ]
