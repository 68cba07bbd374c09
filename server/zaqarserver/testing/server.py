"""A server in the process of a test."""

from __future__ import annotations

import asyncio
import base64
import secrets
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Self

import uvloop

from zaqarserver import config
from zaqarserver.process.app import Application
from zaqarserver.process.listening import listen
from zaqarserver.process.serving import Web
from zaqarserver.testing.clock import MovableClock

#: Seconds that starting and stopping may take.
PATIENCE = 30.0


class InProcessServer:
    """A server in this process: in memory, on a free port of this machine.

    Use it as a context manager, ``with`` or ``async with``. It has no authentication,
    signs URLs and webhooks, and may call webhooks on this machine.

    Args:
        settings: Options by group, ``{"transport": {"min_claim_ttl": 1}}``; see the
            reference of settings.

    Attributes:
        clock: Its clock.
        url: Its address over HTTP.
        ws_url: Its address over WebSocket.
        signing_key: The key that its webhooks are signed with.
    """

    def __init__(self, settings: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.signing_key = _key()
        known: dict[str, dict[str, Any]] = {
            "server": {"host": "127.0.0.1", "port": 0},
            "storage": {"uri": "sqlite://:memory:"},
            "signed_url": {"secret_key": secrets.token_hex(32)},
            "notification": {"webhook_signing_key": self.signing_key},
        }
        for group, options in (settings or {}).items():
            known.setdefault(group, {}).update(options)
        self._conf = config.of_values(known)
        self.clock = MovableClock()
        self._started: Future[Web] = Future()
        self._thread: threading.Thread | None = None
        self.url = self.ws_url = ""

    def start(self) -> None:
        """Listen, open the store and serve.

        Raises:
            StartupError: The server cannot start.
        """
        listener = listen(self._conf, "server")
        listener.listen()  # who connects from now on is served
        host, port = listener.getsockname()[:2]
        self.url, self.ws_url = f"http://{host}:{port}", f"ws://{host}:{port}"
        self._thread = threading.Thread(
            target=self._run, args=(listener,), name="zaqarserver", daemon=True
        )
        self._thread.start()
        self._started.result(PATIENCE)

    def stop(self) -> None:
        """Finish the requests under way and end; the messages are gone."""
        if self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._started.result().stopping.set)
            self._thread.join(PATIENCE)

    def _run(self, listener: socket.socket) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                self._loop = self.clock.loop = runner.get_loop()
                runner.run(self._serve(listener))
        except BaseException as error:  # noqa: BLE001 - handed to the caller of start
            if not self._started.done():
                self._started.set_exception(error)

    async def _serve(self, listener: socket.socket) -> None:
        application = Application(self._conf, self.clock)
        await application.run({"server": listener}, self._started.set_result)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await asyncio.to_thread(self.stop)


def _key() -> str:
    """Return a new signing key of standard webhooks."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
