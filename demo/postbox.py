"""A mail server that keeps what it is given: enough SMTP for one sender."""

from __future__ import annotations

import contextlib
import queue
import socketserver
import threading
from collections.abc import Iterator


class _Conversation(socketserver.StreamRequestHandler):
    """Answers every command with what it waits for."""

    server: _Server

    def handle(self) -> None:
        """Talk until the sender leaves."""
        self._say("220 demo")
        for line in self.rfile:
            command = line.strip().upper()
            if command == b"DATA":
                self._say("354 go on")
                self.server.mails.put(self._mail())
                self._say("250 kept")
            elif command == b"QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 fine")

    def _mail(self) -> str:
        lines = []
        for line in self.rfile:
            if line.rstrip(b"\r\n") == b".":
                break
            lines.append(line.removeprefix(b".").decode().rstrip("\r\n"))
        return "\n".join(lines)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.mails: queue.SimpleQueue[str] = queue.SimpleQueue()
        super().__init__(("127.0.0.1", 0), _Conversation)


class Postbox:
    """A running mail server.

    Attributes:
        port: Where it listens, on loopback.
    """

    def __init__(self, server: _Server) -> None:
        self._server = server
        self.port: int = server.server_address[1]

    def next_mail(self, seconds: float) -> str | None:
        """Return the next mail, header and text, or ``None`` if none comes."""
        try:
            return self._server.mails.get(timeout=seconds)
        except queue.Empty:
            return None


@contextlib.contextmanager
def postbox() -> Iterator[Postbox]:
    """Run a mail server on a free port; it ends with the context."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield Postbox(server)
        finally:
            server.shutdown()
            thread.join()
