"""Moves of a large queue, with the server killed at each step: ``make torture``.

A queue with messages, claims, subscriptions of which one is slow, and pending notices
is drained from pool to pool while clients use it. At each step of a move the server
is killed and started again. Afterwards all is counted: nothing may be lost, doubled
or out of order, and nothing notified twice but what was in flight.

    python testing/torture_moves.py --only sqlite-redis --messages 5000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from ports import free_port
from redis_service import RedisServer

ROOT = Path(__file__).parent
ADMIN = {
    "X-Roles": "admin",
    "X-Project-ID": "p",
    "Client-ID": "3381af922b9e11e3b19171861300734c",
}
QUEUE = "/v2/queues/large"
#: Where a queue is, and where it goes; a drain goes there and the next one back.
PAIRS = {
    "sqlite-sqlite": ("sqlite", "sqlite"),
    "sqlite-redis": ("sqlite", "redis"),
    "redis-redis": ("redis", "redis"),
}
#: Where the server is killed; each step once in each direction.
STEPS = (
    "PlacementMove:after:1",
    "QueueSeal leaving:after:1",
    "QueueSeal arriving:after:1",
    "QueueImport:before:1",
    "QueueImport:after:2",
    "QueueImport:after:6",
    "QueueContents:before:1",
    "QueueContents:after:2",
    "PlacementArrive:before:1",
    "PlacementArrive:after:1",
    "QueueOpen:after:1",
    "QueueDrop:before:1",
    "QueueDrop:after:1",
)
_SLOW = 0.5  # seconds that the slow subscriber takes
_LIMIT = 600.0  # seconds that anything may take


@dataclass
class Size:
    """How much the queue has.

    Attributes:
        messages: Messages, one a post: as many notices wait for the slow subscriber.
        claims: Claims of two messages each.
        subscriptions: Subscriptions; all but the slow one hear the last tenth only.
    """

    messages: int
    claims: int
    subscriptions: int


#: Messages of a delivery that are sent again after a fault, on average at most.
_SENT_AGAIN = 3


class Receiver:
    """Answers webhooks, at ``/0`` slowly until ``hurry`` is set.

    Attributes:
        heard: By path, the numbers of the messages in the order in which they came.
        slow: Whether ``/0`` is slow.
    """

    def __init__(self) -> None:
        self.heard: defaultdict[str, list[int]] = defaultdict(list)
        self.slow = True

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.json()
        if request.path == "/0" and self.slow:
            await asyncio.sleep(_SLOW)
        self.heard[request.path].append(body["body"])
        return web.Response(status=204)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Serve; give the URL."""
        app = web.Application()
        app.router.add_post("/{number}", self._take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()


class Server:
    """A server that is killed at a step, or not."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._config = directory / "server.conf"
        self._log = directory / "server.log"
        self.fate = directory / "fate"
        self._config.write_text(
            "[DEFAULT]\nadmin_mode = true\npooling = true\n"
            f"[server]\nport = {port}\n[websocket]\nport = 0\n"
            f"[storage]\nuri = sqlite:///{directory}/home.db\n"
        )
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(ROOT / "mortal_server.py"),
                str(self.fate),
                "--config-file",
                str(self._config),
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(_LIMIT), aiohttp.ClientSession() as session:
            while True:
                if self._process.returncode is not None:
                    raise RuntimeError(self._log.read_text()[-2000:])
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(self.url + "/") as answer:
                        if answer.status == 300:
                            return
                await asyncio.sleep(0.05)

    async def ended(self, seconds: float) -> bool:
        """Return True if it was killed within some seconds."""
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), seconds)
        return self._process.returncode is not None

    async def stop(self) -> None:
        """End it in good order."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()


@dataclass
class Clients:
    """Uses the queue while it moves, and remembers what was answered.

    Attributes:
        ids: By number, the id of each message of which a 201 came.
        unsure: Numbers of which no answer came.
        gone: Numbers that were popped; some may be gone without an answer.
        lost_pops: How many pops got no answer: each may have removed one.
        over: Whether to end.
    """

    session: aiohttp.ClientSession
    ids: dict[int, str] = field(default_factory=dict)
    unsure: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    lost_pops: int = 0
    over: bool = False

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask until it is answered; only for what may be asked again."""
        async with asyncio.timeout(_LIMIT):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with self.session.request(method, path, json=body) as answer:
                        if answer.status < 300:
                            return await answer.json(content_type=None)
                        if answer.status not in (404, 503):
                            raise RuntimeError(await answer.text())
                await asyncio.sleep(0.05)

    async def post(self, number: int) -> None:
        """Post a message once."""
        document = {"messages": [{"body": number, "ttl": 86400}]}
        try:
            async with self.session.post(f"{QUEUE}/messages", json=document) as answer:
                if answer.status == 201:
                    (href,) = (await answer.json())["resources"]
                    self.ids[number] = href.rsplit("/", 1)[1]
        except aiohttp.ClientConnectorError:
            pass
        except aiohttp.ClientError:
            self.unsure.add(number)

    async def pop(self) -> None:
        """Remove a message."""
        try:
            async with self.session.delete(f"{QUEUE}/messages?pop=1") as answer:
                if answer.status == 200:
                    (message,) = (await answer.json())["messages"]
                    self.gone.add(message["body"])
        except aiohttp.ClientConnectorError:
            pass
        except aiohttp.ClientError:
            self.lost_pops += 1

    async def use(self, first: int) -> None:
        """Post, and remove half as much, until it is told to end."""
        number = first
        while not self.over:
            await self.post(number)
            number += 1
            if number % 2:
                await self.pop()
            await asyncio.sleep(0.05)

    async def list(self) -> dict[int, str]:
        """Return ids by number of all that is in the queue, in its order."""
        found: dict[int, str] = {}
        path = f"{QUEUE}/messages?echo=true&include_claimed=true&limit=20"
        while True:
            page = await self.call("GET", path)
            if not page["messages"]:
                return found
            found.update((one["body"], one["id"]) for one in page["messages"])
            path = page["links"][0]["href"]


class Scenario:
    """One pair of pools.

    Args:
        pair: The kinds of the two.
        size: How much the queue has.
        steps: Where the server is killed.
    """

    def __init__(self, pair: str, size: Size, steps: tuple[str, ...]) -> None:
        self._kinds = PAIRS[pair]
        self._size = size
        self._steps = steps
        self._receiver = Receiver()
        self._made: dict[str, list[int]] = {}
        self.figures: dict[str, Any] = {"pair": pair, "moves": 0, "kills": 0}
        self.wrong: list[str] = []

    async def run(self, directory: Path) -> None:
        """Fill, move, count."""
        redis = RedisServer(directory / "redis", "--appendonly", "yes")
        if "redis" in self._kinds:
            await asyncio.to_thread(redis.start)
        server = Server(directory)
        await server.start()
        try:
            async with (
                self._receiver.listening() as receiver,
                aiohttp.ClientSession(server.url, headers=ADMIN) as session,
            ):
                clients = Clients(session)
                uris = [
                    f"sqlite://{directory}/{name}.db"
                    if kind == "sqlite"
                    else f"{redis.uri}?prefix={uuid.uuid4().hex}"
                    for name, kind in zip("ab", self._kinds, strict=True)
                ]
                await self._fill(clients, uris, receiver)
                await self._move_all(clients, server)
                await self._count(clients)
        finally:
            await server.stop()
            if redis.is_running:
                await asyncio.to_thread(redis.kill)

    async def _fill(self, clients: Clients, uris: list[str], receiver: str) -> None:
        call = clients.call
        await call("PUT", "/v2/pools/a", {"uri": uris[0], "weight": 1})
        await call("PUT", QUEUE, {"kept": "metadata"})
        await call("PUT", "/v2/pools/b", {"uri": uris[1], "weight": 0})
        hooks = [f"{receiver}/{number}" for number in range(self._size.subscriptions)]
        await self._subscribe(clients, hooks[:1])
        late = self._size.messages * 9 // 10
        await self._post(clients, range(late))
        await self._subscribe(clients, hooks[1:])
        await self._post(clients, range(late, self._size.messages))
        for _ in range(self._size.claims):
            made = await call("POST", f"{QUEUE}/claims?limit=2", {"ttl": 43200})
            href = made["messages"][0]["href"]
            claim = "/v2/queues/large/claims/" + href.rpartition("claim_id=")[2]
            self._made[claim] = [one["body"] for one in made["messages"]]
        self._hooks, self._late = hooks, late

    async def _subscribe(self, clients: Clients, hooks: list[str]) -> None:
        for hook in hooks:
            document = {"subscriber": hook, "ttl": 86400}
            await clients.call("POST", f"{QUEUE}/subscriptions", document)

    async def _post(self, clients: Clients, numbers: range) -> None:
        left = list(numbers)[::-1]

        async def poster() -> None:
            while left:
                await clients.post(left.pop())

        await asyncio.gather(*(poster() for _ in range(16)))

    async def _move_all(self, clients: Clients, server: Server) -> None:
        """Move it there and back, killed at each step in each direction."""
        source, target = "a", "b"
        using = asyncio.create_task(clients.use(self._size.messages))
        times = []
        order = ("never", *self._steps)
        for step in sorted(2 * order, key=order.index):
            if step != "never":
                server.fate.write_text(step)
            began = time.monotonic()
            drain = asyncio.create_task(self._drain(clients, source, target))
            if step != "never":
                if await server.ended(_LIMIT / 10):
                    self.figures["kills"] += 1
                else:
                    self.wrong.append(f"{step} was not reached")
                    server.fate.unlink()
                    await server.stop()
                await server.start()
            await drain
            if step == "never":
                times.append(round(time.monotonic() - began, 2))
            self.figures["moves"] += 1
            await self._check(clients)
            source, target = target, source
        self.figures["seconds_there_and_back"] = times
        clients.over = True
        await using

    async def _drain(self, clients: Clients, source: str, target: str) -> None:
        await clients.call("PATCH", f"/v2/pools/{target}", {"weight": 1})
        async with asyncio.timeout(_LIMIT):
            while True:
                path = f"/v2/pools/{source}/drain?wait=1"
                state = await clients.call("POST", path)
                if state["queues"] == 0:
                    return

    async def _check(self, clients: Clients) -> None:
        """See that claims and subscriptions are as they were."""
        for claim, numbers in self._made.items():
            held = await clients.call("GET", claim)
            if [one["body"] for one in held["messages"]] != numbers:
                self.wrong.append(f"{claim} holds something else")
        found = []
        path = f"{QUEUE}/subscriptions?limit=20"
        while page := (await clients.call("GET", path))["subscriptions"]:
            found += [one["subscriber"] for one in page]
            path = f"{QUEUE}/subscriptions?limit=20&marker={page[-1]['id']}"
        if found != self._hooks:
            self.wrong.append(f"{len(found)} subscriptions of {len(self._hooks)}")
        if (await clients.call("GET", QUEUE)).get("kept") != "metadata":
            self.wrong.append("the metadata are gone")

    async def _count(self, clients: Clients) -> None:
        """Compare what is there, and what was told, with what was answered."""
        there = await clients.list()
        lost = clients.ids.keys() - there.keys() - clients.gone
        back = there.keys() & clients.gone
        strange = there.keys() - clients.ids.keys() - clients.unsure
        if len(lost) > clients.lost_pops:
            self.wrong.append(f"{len(lost)} messages are lost: {sorted(lost)[:9]}")
        if back or strange:
            self.wrong.append(f"{len(back)} came back, {len(strange)} are strange")
        if list(there.values()) != sorted(there.values()):
            self.wrong.append("messages are out of order")
        self._receiver.slow = False
        ids = {**clients.ids, **there}
        order = sorted(ids, key=ids.__getitem__)
        tenth = {number for number in ids if number >= self._late}
        twice = 0
        for path in range(self._size.subscriptions):
            wanted = [one for one in order if path == 0 or one in tenth]
            twice += await self._heard(f"/{path}", wanted, clients.unsure)
        # A delivery is sent again from where it was recorded last, within 100 ms: some
        # messages of its hundred, since the receiver answers at once.
        faults = self.figures["moves"] + 2 * self.figures["kills"]
        in_flight = _SENT_AGAIN * self._size.subscriptions * faults
        if twice > in_flight:
            self.wrong.append(f"{twice} notified twice, {in_flight} were in flight")
        self.figures |= {
            "posted": len(clients.ids),
            "popped": len(clients.gone),
            "there": len(there),
            "unanswered": [len(clients.unsure), clients.lost_pops],
            "notified": sum(len(one) for one in self._receiver.heard.values()),
            "notified_twice": twice,
            "in_flight_at_most": in_flight,
        }

    async def _heard(self, path: str, wanted: list[int], unsure: set[int]) -> int:
        """Wait until a subscriber has heard all; return how much of it twice."""
        heard = self._receiver.heard[path]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LIMIT):
                while not set(wanted) <= set(heard):  # noqa: ASYNC110 - from outside
                    await asyncio.sleep(0.2)
        first = [one for one in dict.fromkeys(heard) if one not in unsure]
        wanted = [one for one in wanted if one not in unsure]
        if first != wanted:
            lost = len(set(wanted) - set(first))
            self.wrong.append(f"{path}: {lost} not told, or out of order")
        return len(heard) - len(set(heard))


async def run_all(scenarios: list[Scenario]) -> None:
    """Run scenarios side by side, since they mostly wait; print what each came to."""

    async def run(scenario: Scenario) -> None:
        with tempfile.TemporaryDirectory(prefix="zaqar-moves-") as directory:
            await scenario.run(Path(directory))
        print(json.dumps({**scenario.figures, "wrong": scenario.wrong}), flush=True)

    async with asyncio.TaskGroup() as group:
        for scenario in scenarios:
            group.create_task(run(scenario))


def main() -> int:
    """Run the scenarios; return 1 if something was lost, doubled or out of order."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--claims", type=int, default=50)
    parser.add_argument("--subscriptions", type=int, default=20)
    parser.add_argument("--steps", nargs="*", default=STEPS, metavar="STEP")
    args = parser.parse_args()
    size = Size(args.messages, args.claims, args.subscriptions)
    scenarios = [Scenario(pair, size, tuple(args.steps)) for pair in args.only]
    asyncio.run(run_all(scenarios))
    return 1 if any(scenario.wrong for scenario in scenarios) else 0


if __name__ == "__main__":
    sys.exit(main())
