"""A server in this process that both transports reach, with one clock for all."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rest_callers import Answer, AsgiCaller
from zaqarserver import config
from zaqarserver.clock import Clock
from zaqarserver.common.metrics import Metrics
from zaqarserver.http import RestEdge
from zaqarserver.identity.access import RulePolicy
from zaqarserver.identity.auth import Authenticator, NoAuth
from zaqarserver.notify.cursors import BacklogReader
from zaqarserver.notify.websocket import Hub
from zaqarserver.operations.context import Server
from zaqarserver.operations.limits import quotas_of
from zaqarserver.operations.signed_urls import Signer
from zaqarserver.operations.waiting import Waiters
from zaqarserver.process.app import load_driver
from zaqarserver.spaces import project_of
from zaqarserver.stages.pipeline import load_pipeline
from zaqarserver.storage.base import Storage
from zaqarserver.storage.catalog import FlavorPut, Pool, PoolPut
from zaqarserver.storage.pooled import PooledStorage
from zaqarserver.websocket import FrameEdge
from zaqarserver.websocket.protocol import TRANSPORT

T = TypeVar("T")

#: Seconds of real time that an answer may take; a test that waits longer hangs.
PATIENCE = 20.0
STARTED = 1_000_000.0


class Bench:
    """A server with one store, maybe of several pools, behind both edges.

    Attributes:
        now: Its clock, in seconds since the epoch. Tests move it forward.
        wall_ahead: Seconds by which the system's clock is ahead of it.
    """

    def __init__(
        self,
        directory: Path,
        uri: str,
        options: str = "",
        authenticator: Authenticator | None = None,
        pools: Sequence[str] = (),
    ) -> None:
        path = directory / "zaqarserver.conf"
        path.write_text(options)
        conf = config.load(["--config-file", str(path)])
        stages = load_pipeline(conf.storage.message_pipeline, conf.transport)
        self.now = STARTED
        self.wall_ahead = 0
        self._runner = asyncio.Runner()
        store = load_driver(uri, {})
        pooled = self._pooled(store) if pools else None
        self.storage: Storage = pooled or store
        limit = conf.transport.max_messages_post_size
        reader = BacklogReader(self.storage, self._clock, limit)
        hub = Hub(stages.read, reader=reader)
        waiters = Waiters()
        self.storage.watch(
            hub.on_post,
            lambda: None,
            on_gap=hub.read_again,
            on_free=waiters.on_free,
        )
        self.run(self.storage.open())
        if pooled is not None:
            self.run(self._register(pooled, pools))
        self.server = Server(
            settings=config.settings_of(conf),
            storage=self.storage,
            policy=RulePolicy(conf),
            stages=stages,
            signer=Signer(conf.signed_url.secret_key),
            quotas=quotas_of(conf),
            pools=pooled.pools if pooled else None,
            clock=Clock(lambda: self.now + self.wall_ahead, self._clock),
            waiters=waiters,
        )
        door = authenticator or NoAuth()
        edge = RestEdge(self.server, door, Metrics())
        self._rest = AsgiCaller(edge)
        self.frames = FrameEdge(self.server, door, Metrics(), hub, "http://push")

    def _pooled(self, home: Storage) -> PooledStorage:
        """Return a store that keeps its queues in pools."""
        return PooledStorage(home, load_driver, project_of, clock=self._clock)

    async def _register(self, pooled: PooledStorage, uris: Sequence[str]) -> None:
        """Make pools of these stores."""
        for number, uri in enumerate(uris):
            await pooled.pools.catalog.do(PoolPut(Pool(f"pool{number}", uri, 1)))
        await pooled.pools.refresh()

    def flavor(self, project: str) -> None:
        """Create the flavor that the tests name, where it must exist."""
        pools = self.server.pools
        if pools is not None:
            self.run(pools.catalog.do(FlavorPut(project, "fast", pools.names[-1:])))

    def _clock(self) -> float:
        return self.now

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end on the server's loop."""
        return self._runner.run(work)

    def close(self) -> None:
        """Close the store."""
        self.run(self.storage.close())
        self._runner.close()

    def http(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """Send one REST request; ``target`` is its path and query."""
        return self.run(self.ask(method, target, headers, body))

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """Do the same on the server's loop, concurrently with other requests."""
        sent = {name: text.encode() for name, text in headers.items()}
        return await self._rest.ask(method, target, sent, body)

    def dial(self) -> Dialog:
        """Open a WebSocket connection."""
        return Dialog(self)

    async def serve_frames(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one WebSocket connection to its end."""
        await self.frames.serve(scope, receive, send)


class Dialog:
    """One WebSocket connection: frames go in, answers come out.

    Attributes:
        dropped: The code with which the server dropped it, if it did.
    """

    def __init__(self, bench: Bench) -> None:
        self.dropped: int | None = None
        self._bench = bench
        self._sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._serving: asyncio.Task[None] | None = None
        bench.run(self._open())

    async def _open(self) -> None:
        scope = {
            "type": "websocket",
            "headers": [],
            "extensions": {TRANSPORT: self},
        }
        self._serving = asyncio.create_task(
            self._bench.serve_frames(scope, self._sent.get, self._received.put)
        )
        await self._sent.put({"type": "websocket.connect"})
        accepted = await self._receive()
        assert accepted == {"type": "websocket.accept"}

    def join(self, joins: bool) -> None:
        """Send each answer at once."""

    def unsent(self) -> int:
        """Take all that is sent."""
        return 0

    def is_closed(self) -> bool:
        """Be there until the end."""
        return False

    def is_gone(self) -> bool:
        """Be there until the end."""
        return False

    async def ready(self) -> None:
        """Take all at once."""

    def send_frame(self, data: bytes, *, binary: bool, proven: bool = False) -> None:
        """Take a frame of the server."""
        content = {"bytes": data} if binary else {"text": data.decode()}
        self._received.put_nowait({"type": "websocket.send", **content})

    def drop(self, code: int, reason: str) -> None:
        """Record that the server ended the connection."""
        self.dropped = code
        self._sent.put_nowait({"type": "websocket.disconnect", "code": code})

    async def _receive(self) -> dict[str, Any]:
        assert self._serving is not None
        answer = asyncio.ensure_future(self._received.get())
        done, _ = await asyncio.wait(
            {answer, self._serving},
            timeout=PATIENCE,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if answer in done:
            return answer.result()
        answer.cancel()
        if self._serving in done:
            # Shows why the server gave the connection up.
            self._serving.result()
            raise AssertionError("the server ended the connection")
        raise AssertionError(f"no answer after {PATIENCE} seconds")

    def send(self, data: bytes, *, binary: bool) -> None:
        """Send one frame without waiting for its answer."""
        content = {"bytes": data} if binary else {"text": data.decode()}
        self._sent.put_nowait({"type": "websocket.receive", **content})

    def receive(self) -> dict[str, Any]:
        """Return the next message that the server sends."""
        return self._bench.run(self._receive())

    def wait_until_dropped(self) -> None:
        """Wait until the server has ended the connection."""
        self._bench.run(self._end())

    async def _end(self) -> None:
        assert self._serving is not None
        async with asyncio.timeout(PATIENCE):
            await self._serving

    def close(self) -> None:
        """Disconnect, as a client does."""
        self._bench.run(self._close())

    async def _close(self) -> None:
        await self._sent.put({"type": "websocket.disconnect", "code": 1000})
        await self._end()
