"""What the rows of the matrix ask, over REST and over WebSocket alike."""

from __future__ import annotations

import itertools
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import sockets
from traffic import Crowd, Reply, Request, Script, Target, Timings, once

#: The scenarios; each of the three requests of a cycle counts as one.
OPERATIONS = ("post", "cycle", "list", "stats")
#: Messages of a page that is listed.
PAGE = 10
#: Bytes of one post that fills a queue; the server's limit is 256 KiB.
_FILL_BYTES = 200_000


class Wire(Protocol):
    """Lays out requests for one of the two transports."""

    def post(self, queue: str) -> Request:
        """Post as many messages as the row says."""

    def claim(self, queue: str) -> Request:
        """Claim one message."""

    def delete(self, queue: str, claimed: Reply) -> Request:
        """Delete what was claimed."""

    def list(self, queue: str) -> Request:
        """List a page from the beginning."""

    def stats(self, queue: str) -> Request:
        """Ask for the statistics."""


class Rest:
    """Requests over HTTP; what is asked again was laid out before.

    Args:
        target: The server.
        messages: What each post stores.
    """

    def __init__(self, target: Target, messages: Sequence[Any]) -> None:
        self._target = target
        self._messages = {"messages": messages}
        self._known: dict[tuple[str, str], Request] = {}

    def _ask(
        self, label: str, method: str, path: str, status: int, document: Any = None
    ) -> Request:
        known = self._known.get((label, path))
        if known is None:
            known = self._known[label, path] = self._target.request(
                label, method, f"/v2/queues/{path}", status, document
            )
        return known

    def post(self, queue: str) -> Request:
        """Post as many messages as the row says."""
        return self._ask("post", "POST", f"{queue}/messages", 201, self._messages)

    def claim(self, queue: str) -> Request:
        """Claim one message."""
        return self._ask("claim", "POST", f"{queue}/claims?limit=1", 201, {})

    def delete(self, queue: str, claimed: Reply) -> Request:  # noqa: ARG002 - in href
        """Delete what was claimed."""
        (message,) = json.loads(claimed.body)["messages"]
        href = message["href"].removeprefix(self._target.base)
        return self._target.request("delete", "DELETE", href, 204)

    def list(self, queue: str) -> Request:
        """List a page from the beginning."""
        path = f"{queue}/messages?echo=true&limit={PAGE}"
        return self._ask("list", "GET", path, 200)

    def stats(self, queue: str) -> Request:
        """Ask for the statistics."""
        return self._ask("stats", "GET", f"{queue}/stats", 200)


class Frames:
    """Requests in frames.

    Args:
        headers: Of each frame.
        messages: What each post stores.
        request_id: Tells the requests of a connection apart, if they are several.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        messages: Sequence[Any],
        request_id: int | None,
    ) -> None:
        own = {} if request_id is None else {"X-Request-ID": str(request_id)}
        self._headers = json.dumps({**headers, **own})
        self._messages = json.dumps(messages)

    def _ask(self, label: str, action: str, members: str, status: int) -> Request:
        text = f'{{"action":"{action}","headers":{self._headers},"body":{{{members}}}}}'
        return Request(label, sockets.wire(sockets.TEXT, text.encode()), status)

    def post(self, queue: str) -> Request:
        """Post as many messages as the row says."""
        members = f'"queue_name":"{queue}","messages":{self._messages}'
        return self._ask("post", "message_post", members, 201)

    def claim(self, queue: str) -> Request:
        """Claim one message."""
        members = f'"queue_name":"{queue}","limit":1'
        return self._ask("claim", "claim_create", members, 201)

    def delete(self, queue: str, claimed: Reply) -> Request:
        """Delete what was claimed."""
        body = json.loads(claimed.body)
        message, claim = body["messages"][0]["id"], body["claim_id"]
        named = f'"message_id":"{message}","claim_id":"{claim}"'
        members = f'"queue_name":"{queue}",{named}'
        return self._ask("delete", "message_delete", members, 204)

    def list(self, queue: str) -> Request:
        """List a page from the beginning."""
        members = f'"queue_name":"{queue}","echo":true,"limit":{PAGE}'
        return self._ask("list", "message_list", members, 200)

    def stats(self, queue: str) -> Request:
        """Ask for the statistics."""
        return self._ask("stats", "queue_get_stats", f'"queue_name":"{queue}"', 200)


def script(operation: str, wire: Wire, queues: Iterator[str], end: float) -> Script:
    """Repeat an operation on one queue after the other, until ``end``.

    A cycle that has begun is finished, so that queues stay as full as they are.

    Args:
        operation: One of ``OPERATIONS``.
        wire: How to ask.
        queues: Without end.
        end: By ``time.perf_counter``.
    """
    if operation == "cycle":
        yield from _cycles(wire, queues, end)
        return
    ask: Callable[[str], Request] = getattr(wire, operation)
    while time.perf_counter() < end:
        yield ask(next(queues))


def _cycles(wire: Wire, queues: Iterator[str], end: float) -> Script:
    while time.perf_counter() < end:
        queue = next(queues)
        yield wire.post(queue)
        claimed = yield wire.claim(queue)
        yield wire.delete(queue, claimed)


def scattered(queues: Sequence[str]) -> Iterator[str]:
    """Yield queues by chance, so that neighbours do not follow each other."""
    if len(queues) == 1:
        yield from itertools.repeat(queues[0])
    chance = random.Random()
    while True:
        yield queues[int(chance.random() * len(queues))]


class Exchange:
    """Connections to one server, and the queues that are used over them.

    Args:
        url: The server's.
        headers: Who asks.
        queues: Their names.
        batch: Messages of a post.
        body_bytes: The size of a body.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        queues: Sequence[str],
        batch: int,
        body_bytes: int,
    ) -> None:
        self._url = url
        self._headers = headers
        self._target = Target(url, headers)
        self._queues = queues
        body = {"payload": "x" * max(0, body_bytes - 14)}
        self._message = {"ttl": 86400, "body": body}
        self._messages = [self._message] * batch
        self._most = max(1, _FILL_BYTES // (body_bytes + 30))

    async def fill(self, backlog: int) -> None:
        """Put so many messages into each queue, over a few connections."""
        posts = self._fillings(backlog)
        crowd = await Crowd.connect(self._target, 8)
        try:
            await crowd.run(lambda: _each(posts), math.inf)
        finally:
            crowd.close()

    def _fillings(self, backlog: int) -> Iterator[Request]:
        for queue in self._queues:
            for left in range(backlog, 0, -self._most):
                document = {"messages": [self._message] * min(left, self._most)}
                path = f"/v2/queues/{queue}/messages"
                yield self._target.request("fill", "POST", path, 201, document)

    async def empty(self) -> None:
        """Delete all messages, but not the queues."""
        paths = (f"/v2/queues/{queue}/purge" for queue in self._queues)
        document = {"resource_types": ["messages"]}
        requests = [
            self._target.request("purge", "POST", path, 204, document) for path in paths
        ]
        crowd = await Crowd.connect(self._target, 1)
        try:
            await crowd.once(*requests)
        finally:
            crowd.close()

    async def connect(self, way: str, connections: int, depth: int = 16) -> Session:
        """Open connections.

        Args:
            way: ``rest``, ``frames`` or ``pipelined``.
            connections: How many.
            depth: Requests under way on each, if they are pipelined.

        Raises:
            LoadError: The server cannot be reached.
        """
        wires: list[Wire]
        if way == "rest":
            wires = [Rest(self._target, self._messages)]
            crowd = await Crowd.connect(self._target, connections)
            return Session(crowd, wires, self._queues)
        ids: Sequence[int | None] = range(depth) if way == "pipelined" else (None,)
        wires = [Frames(self._headers, self._messages, one) for one in ids]
        opened = await sockets.connect(self._url, connections)
        return Session(opened, wires, self._queues)


class Session:
    """Open connections to one server.

    Args:
        opened: The connections.
        wires: For each request that is under way on a connection.
        queues: What is asked about.
    """

    def __init__(
        self,
        opened: Crowd | list[sockets.Socket],
        wires: Sequence[Wire],
        queues: Sequence[str],
    ) -> None:
        self._opened = opened
        self._wires = wires
        self._queues = queues

    async def run(self, operation: str, seconds: float) -> Timings:
        """Use all connections for about ``seconds``; nothing is begun after them.

        Raises:
            LoadError: A request failed.
        """
        end = time.perf_counter() + seconds

        def scripts() -> list[Script]:
            chosen = [scattered(self._queues) for _ in self._wires]
            pairs = zip(self._wires, chosen, strict=True)
            return [script(operation, wire, queues, end) for wire, queues in pairs]

        if isinstance(self._opened, Crowd):
            return await self._opened.run(lambda: scripts()[0], math.inf)
        return await sockets.run_all(self._opened, scripts)

    def close(self) -> None:
        """Close the connections."""
        opened = self._opened
        for one in [opened] if isinstance(opened, Crowd) else opened:
            one.close()


def _each(requests: Iterator[Request]) -> Script:
    """Ask what is left, one after the other; several connections share the work."""
    for request in requests:
        yield from once(request)
