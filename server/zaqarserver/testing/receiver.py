"""A receiver of webhooks for tests."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import msgspec
from standardwebhooks import Webhook

#: Seconds that a test waits for notifications.
PATIENCE = 10.0


class ReceivedNotification(msgspec.Struct, frozen=True):
    """A request that a webhook got.

    Attributes:
        headers: Its headers, with names in lower case.
        body: Its body, decoded from JSON; bytes if it is no JSON.
        verified: True if it is signed with the server's key.
    """

    headers: Mapping[str, str]
    body: Any
    verified: bool


class Receiver:
    """A webhook on this machine that collects and verifies what it is sent.

    Args:
        signing_key: The key of the server, ``signing_key`` of the server.

    Attributes:
        url: The subscriber to name in a subscription.
        received: What came so far, in order.
        status: What it answers with; 204 at first.
    """

    def __init__(self, signing_key: str) -> None:
        self.received: list[ReceivedNotification] = []
        self.status = 204
        self._webhook = Webhook(signing_key)
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): text for name, text in self.headers.items()}
                receiver._keep(headers, content)
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def wait(self, count: int, seconds: float = PATIENCE) -> list[ReceivedNotification]:
        """Wait for so many notifications and return all that came.

        Raises:
            TimeoutError: Fewer came in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.received) >= count, seconds):
                raise TimeoutError(
                    f"{len(self.received)} of {count} notifications came"
                )
            return list(self.received)

    def _keep(self, headers: dict[str, str], content: bytes) -> None:
        verified = self._is_signed(headers, content)
        try:
            body = msgspec.json.decode(content)
        except msgspec.DecodeError:
            body = content
        with self._changed:
            self.received.append(ReceivedNotification(headers, body, verified))
            self._changed.notify_all()

    def _is_signed(self, headers: Mapping[str, str], content: bytes) -> bool:
        """Return True if a signature is right, whatever the time that it names.

        The server's clock may have been moved.
        """
        try:
            at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=UTC)
            expected = self._webhook.sign(headers["webhook-id"], at, content.decode())
            given = headers["webhook-signature"].split()
        except (KeyError, ValueError, OverflowError):
            return False
        return any(hmac.compare_digest(expected, one) for one in given)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
