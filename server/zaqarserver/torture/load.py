"""The clients of a run: producers, consumers, webhooks, and a final listing."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from zaqarserver.torture.faults import FaultError
from zaqarserver.torture.history import Accepted, Deleted, HeldMessage, History, Mark

#: The shortest claim of the API; messages claimed by a lost answer are free after it.
CLAIM_TTL = 60
_MESSAGE_TTL = 86_400
_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=2)
_PAUSE = 0.05  # seconds after a failure: a server that restarts is not hammered
_PAGE = 20
_MOST_CLAIMED = 10
_LOOK_SECONDS = 90.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a run.

    Attributes:
        endpoints: Base URLs of the servers, without ``/v2``.
        headers: Sent with each request: the project, a token.
        queues: Names of the queues. Every second one is only posted to: the loss of
            a message that is deleted at once cannot be noticed.
        producers: The number of clients that post.
        consumers: The number of clients that claim and delete.
        batch: Messages per post.
        release: The share of claims, 0 to 1, that are released unfinished.
        rate: Posts per second and producer; 0 is unlimited.
    """

    endpoints: Sequence[str]
    headers: Mapping[str, str]
    queues: Sequence[str]
    producers: int = 4
    consumers: int = 4
    batch: int = 3
    release: float = 0.1
    rate: float = 0.0


class Response(msgspec.Struct, frozen=True):
    """The outcome of a request.

    Attributes:
        status: The status; 0 without an answer.
        document: The decoded body; ``None`` without one.
    """

    status: int
    document: Any = None


class Clients:
    """The clients of one run; they record the history.

    Args:
        plan: The parameters.
        history: The history.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        plan: Plan,
        history: History,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._history = history
        self._clock = clock
        self._run = uuid.uuid4().hex[:8]
        self._stopped = asyncio.Event()
        self._posting = asyncio.Event()
        #: The number of requests by status; 0 is no answer.
        self.statuses: Counter[int] = Counter()

    # -- one request ------------------------------------------------------------

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        document: Any = None,
    ) -> Response:
        """Send a request to one of the endpoints; a failure is an answer, too."""
        url = random.choice(self._plan.endpoints) + path  # noqa: S311 - spreads load
        body = None if document is None else msgspec.json.encode(document)
        try:
            async with session.request(method, url, data=body) as response:
                text = await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.statuses[0] += 1
            return Response(0)
        self.statuses[status] += 1
        try:
            return Response(status, msgspec.json.decode(text) if text else None)
        except msgspec.DecodeError:
            # Not an answer of the service, but of a proxy, say. Its status counts.
            return Response(status)

    @contextlib.asynccontextmanager
    async def _session(self) -> Any:
        headers = {
            "Client-ID": uuid.uuid4().hex,
            "Content-Type": "application/json",
            **self._plan.headers,
        }
        async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as session:
            yield session

    async def _pause(self, seconds: float = _PAUSE) -> None:
        """Wait for some seconds, or until the run ends."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

    async def subscribe(self, queue: str, url: str) -> None:
        """Subscribe a webhook to a queue; repeat until it succeeds.

        Raises:
            FaultError: It is refused.
        """
        path = f"/v2/queues/{queue}/subscriptions"
        document = {"subscriber": url, "ttl": _MESSAGE_TTL}
        async with asyncio.timeout(_LOOK_SECONDS), self._session() as session:
            while True:
                answer = await self._ask(session, "POST", path, document)
                if answer.status in {201, 409}:  # created now or by an earlier request
                    return
                if 400 <= answer.status < 500:
                    raise FaultError(f"no webhook can be subscribed: {answer.document}")
                await asyncio.sleep(_PAUSE)

    # -- producers --------------------------------------------------------------

    async def _produce(self, number: int) -> None:
        next_number = dict.fromkeys(self._plan.queues, 0)
        async with self._session() as session:
            while not self._posting.is_set():
                queue = random.choice(self._plan.queues)  # noqa: S311
                marks = [
                    Mark(self._run, number, next_number[queue] + index)
                    for index in range(self._plan.batch)
                ]
                # A number is used once: a post without an answer is not repeated.
                next_number[queue] += self._plan.batch
                await self._post(session, queue, marks)
                if self._plan.rate:
                    await self._pause(1 / self._plan.rate)

    async def _post(
        self, session: aiohttp.ClientSession, queue: str, marks: Sequence[Mark]
    ) -> None:
        answer = await self._ask(
            session,
            "POST",
            f"/v2/queues/{queue}/messages",
            {"messages": [{"body": mark, "ttl": _MESSAGE_TTL} for mark in marks]},
        )
        now = self._clock()
        if answer.status != 201 or answer.document is None:
            await self._pause()
            return
        for href, mark in zip(answer.document["resources"], marks, strict=True):
            message_id = href.rpartition("/")[2]
            self._history.accepted.append(Accepted(queue, message_id, mark, now))

    # -- consumers --------------------------------------------------------------

    async def _consume(self) -> None:
        consumed = self._plan.queues[::2]
        async with self._session() as session:
            while not self._stopped.is_set():
                queue = random.choice(consumed)  # noqa: S311
                if not await self._claim(session, queue):
                    await self._pause()

    async def _claim(self, session: aiohttp.ClientSession, queue: str) -> bool:
        asked = self._clock()
        answer = await self._ask(
            session,
            "POST",
            f"/v2/queues/{queue}/claims?limit={random.randint(1, _MOST_CLAIMED)}",  # noqa: S311
            {"ttl": CLAIM_TTL, "grace": CLAIM_TTL},
        )
        if answer.status != 201 or answer.document is None:
            return False
        answered = self._clock()
        held = [
            HeldMessage(
                queue,
                one["id"],
                msgspec.convert(one["body"], Mark),
                one["href"].rpartition("=")[2],
                asked,
                answered,
                asked + CLAIM_TTL,
            )
            for one in answer.document["messages"]
            if _is_of(one["body"], self._run)
        ]
        self._history.held += held
        if random.random() < self._plan.release:  # noqa: S311
            await self._release(session, queue, held)
        else:
            for one in held:
                await self._delete(session, one)
        return True

    async def _release(
        self, session: aiohttp.ClientSession, queue: str, held: Sequence[HeldMessage]
    ) -> None:
        for one in held:
            # From now on another consumer may have it.
            one.until = min(one.until, self._clock())
        if held:
            path = f"/v2/queues/{queue}/claims/{held[0].claim}"
            await self._ask(session, "DELETE", path)

    async def _delete(self, session: aiohttp.ClientSession, held: HeldMessage) -> None:
        path = f"/v2/queues/{held.queue}/messages/{held.id}?claim_id={held.claim}"
        answer = await self._ask(session, "DELETE", path)
        done = self._clock() if answer.status == 204 else None
        self._history.deleted.append(Deleted(held.queue, held.id, done))

    # -- a whole run ------------------------------------------------------------

    async def run(self, seconds: float) -> None:
        """Produce and consume for a while.

        Args:
            seconds: How long messages are posted; requests under way then finish.
        """
        tasks = [
            asyncio.create_task(work)
            for work in (
                *(self._produce(number) for number in range(self._plan.producers)),
                *(self._consume() for _ in range(self._plan.consumers)),
            )
        ]
        try:
            await _end_early(tasks, seconds)
        finally:
            self._posting.set()
            self._stopped.set()
            await asyncio.gather(*tasks)

    async def look(self) -> None:
        """List all messages, as soon as the deployment answers again.

        Raises:
            TimeoutError: It does not answer.
        """
        async with asyncio.timeout(_LOOK_SECONDS), self._session() as session:
            for queue in self._plan.queues:
                self._history.present[queue] = await self._list(session, queue)
        self._history.looked = self._clock()

    async def _list(
        self, session: aiohttp.ClientSession, queue: str
    ) -> dict[str, Mark]:
        found: dict[str, Mark] = {}
        start = f"/v2/queues/{queue}/messages?limit={_PAGE}"
        flags = "&echo=true&include_claimed=true"
        marker = ""
        while True:
            answer = await self._until_answered(session, start + flags + marker)
            messages = answer["messages"]
            if not messages:
                return found
            for one in messages:
                if _is_of(one["body"], self._run):
                    found[one["id"]] = msgspec.convert(one["body"], Mark)
            marker = f"&marker={messages[-1]['id']}"

    async def _until_answered(self, session: aiohttp.ClientSession, path: str) -> Any:
        while True:
            answer = await self._ask(session, "GET", path)
            if answer.status == 200 and answer.document is not None:
                return answer.document
            await asyncio.sleep(_PAUSE)

    async def clean(self) -> None:
        """Delete the queues of the run."""
        async with self._session() as session:
            for queue in self._plan.queues:
                await self._ask(session, "DELETE", f"/v2/queues/{queue}")

    def progress(self) -> Iterator[str]:
        """Yield the counts for the progress line."""
        history = self._history
        yield f"{len(history.accepted)} accepted"
        yield f"{len(history.held)} claimed"
        yield f"{sum(one.done is not None for one in history.deleted)} deleted"
        yield f"{self.statuses[503]} times 503"
        yield f"{self.statuses[504]} times 504"
        yield f"{self.statuses[0]} times no answer"
        yield f"{len(history.faults)} faults"


def _is_of(body: Any, run: str) -> bool:
    """Return True if a body is a mark of this run; a queue may have other messages."""
    return isinstance(body, dict) and body.get("run") == run


async def _end_early(tasks: Sequence[asyncio.Task[None]], seconds: float) -> None:
    """Wait; raise the error of a client that fails."""
    done, _ = await asyncio.wait(
        tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION
    )
    for task in done:
        task.result()


_SLOW_SECONDS = 0.2  # the delay of a slow webhook, until the end of the run
#: Longer than a lease of a delivery, after which those in flight are sent again.
_QUIET_SECONDS = 20.0


class Subscribers:
    """Webhooks on loopback; they record the messages that they receive.

    Args:
        history: The history.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._url = ""
        self._hurry = asyncio.Event()
        self._last = 0.0

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Receive notifications inside a ``with`` block."""
        app = web.Application()
        app.router.add_post("/{speed}/{queue}/{number}", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        try:
            await site.start()
            self._url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield
        finally:
            await runner.cleanup()

    async def subscribe(self, clients: Clients, queue: str, count: int) -> None:
        """Subscribe webhooks to a queue; the last one is slow.

        Raises:
            FaultError: The deployment refuses it.
        """
        for number in range(count):
            speed = "slow" if number == count - 1 else "quick"
            path = f"/{speed}/{queue}/{number}"
            await clients.subscribe(queue, self._url + path)
            self._history.heard[queue, path] = []

    async def _take(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read())["body"]
        if request.match_info["speed"] == "slow":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), _SLOW_SECONDS)
        self._last = time.monotonic()
        key = request.match_info["queue"], request.path
        self._history.heard[key].append(msgspec.convert(body, Mark))
        return web.Response(status=204)

    async def finish(self) -> None:
        """Wait until all messages are received, or none has arrived for a while."""
        self._hurry.set()
        self._last = time.monotonic()
        while time.monotonic() < self._last + _QUIET_SECONDS:
            if not any(self._history.unheard()):
                return
            await asyncio.sleep(0.2)
