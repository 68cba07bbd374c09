"""The webhooks of a run, quick and slow ones."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from zaqarserver.torture.history import History, Mark
from zaqarserver.torture.load import Clients

_SLOW_SECONDS = 0.2  # that a slow one takes, until the run is at its end
#: Longer than a lease of a notification: what was in flight at a fault comes after it.
_QUIET_SECONDS = 20.0


class Subscribers:
    """Webhooks on loopback; what they hear goes to the history.

    Args:
        history: Where it is put.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._url = ""
        self._hurry = asyncio.Event()
        self._last = 0.0

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take notifications while a ``with`` block runs."""
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
        """Subscribe webhooks to a queue, the last of them a slow one.

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
        """Wait until all is heard, or nothing new has come for a while."""
        self._hurry.set()
        self._last = time.monotonic()
        while time.monotonic() < self._last + _QUIET_SECONDS:
            if not any(self._history.unheard()):
                return
            await asyncio.sleep(0.2)
