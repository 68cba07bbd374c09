"""A TCP proxy that counts the connections it carries."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class CountingProxy:
    """Forwards connections to a port on loopback.

    Attributes:
        url: Where it listens.
        connections: How many connections it accepted.
        answer_is_held: Set while an answer is held back.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self.answer_is_held = threading.Event()
        self._open_again = threading.Event()
        self._open_again.set()

    def hold_answers(self) -> None:
        """Keep what the far side sends from now on."""
        self._open_again.clear()

    def let_answers_go(self) -> None:
        """Pass on what was kept, and all that follows."""
        self._open_again.set()

    @contextlib.contextmanager
    def running(self) -> Iterator[CountingProxy]:
        self._start(self._accept)
        try:
            yield self
        finally:
            self.let_answers_go()
            for opened in (self._listener, *self._open):
                with contextlib.suppress(OSError):
                    opened.shutdown(socket.SHUT_RDWR)
            for thread in self._threads:
                thread.join()
            for opened in (self._listener, *self._open):
                opened.close()

    def _start(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            far = socket.create_connection(self._target)
            for side in (near, far):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [near, far]
            self._start(self._pump, near, far, False)
            self._start(self._pump, far, near, True)

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if answers and not self._open_again.is_set():
                    self.answer_is_held.set()
                    self._open_again.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
