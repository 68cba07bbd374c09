"""A webhook receiver that refuses or accepts, as the test says."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Receiver:
    """An HTTP server on loopback, in a thread of its own."""

    def __init__(self) -> None:
        self._accepts = True
        self._tried = 0
        self._accepted: list[Any] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204 if receiver._take(body) else 503)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def _take(self, body: bytes) -> bool:
        with self._changed:
            self._tried += 1
            if self._accepts:
                self._accepted.append(json.loads(body)["body"])
            self._changed.notify_all()
            return self._accepts

    def refuse(self) -> None:
        """Answer 503 from now on."""
        self._accepts = False

    def accept(self) -> None:
        """Answer 204 from now on."""
        self._accepts = True

    def wait_for(self, tries: int) -> None:
        """Wait until it was tried so often."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._tried >= tries, 20)

    def wait_for_accepted(self, seconds: float) -> list[Any]:
        """Wait for something to be accepted; return all that was."""
        with self._changed:
            self._changed.wait_for(lambda: self._accepted, seconds)
            return list(self._accepted)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
