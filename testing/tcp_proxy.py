"""A TCP proxy that counts its connections and injects faults."""

from __future__ import annotations

import contextlib
import enum
import socket
import threading
from collections.abc import Iterator


class Fault(enum.Enum):
    """A fault of a chosen request or of its answer."""

    LOST = "the request is lost with its connection"
    LATE = "the request waits until it is released; its connection is silent"
    CUT = "the answers are lost with their connection"
    HALF = "half of the answers arrive, then the connection ends"
    SWALLOWED = "the answers are lost, the connection stays"
    MISSING = "the first answer is lost, the others arrive"
    DOUBLE = "the first answer comes twice"


class _Link:
    """A connection on its way through."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near = near
        self.far = far
        self.fault: Fault | None = None

    def end(self) -> None:
        for side in (self.near, self.far):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


class CountingProxy:
    """Forwards connections to a port on loopback.

    Attributes:
        url: Where it listens.
        port: The same.
        connections: How many connections it accepted.
        answer_is_held: Set while an answer is held back.
        injected: How many faults there were.
        late_is_done: Set when the far side has answered what came late.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.connections = 0
        self.answer_is_held = threading.Event()
        self._open_again = threading.Event()
        self._open_again.set()
        self.injected = 0
        self.late_is_done = threading.Event()
        self._fault: Fault | None = None
        self._chosen = b""
        self._let_go = threading.Event()

    def inject(self, fault: Fault, chosen: bytes = b"") -> None:
        """Inject a fault into the next request that contains some bytes, once."""
        self._chosen, self._fault = chosen, fault

    def let_late_go(self) -> None:
        """Pass on a request that is late."""
        self._let_go.set()

    def hold_answers(self) -> None:
        """Keep what the far side sends from now on."""
        self._open_again.clear()

    def let_answers_go(self) -> None:
        """Pass on what was kept, and all that follows."""
        self._open_again.set()

    @contextlib.contextmanager
    def running(self) -> Iterator[CountingProxy]:
        """Accept connections while a ``with`` block runs."""
        self._start(self._accept)
        try:
            yield self
        finally:
            self.let_answers_go()
            self.let_late_go()
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
            link = _Link(near, far)
            self._start(self._pump_requests, link)
            self._start(self._pump_answers, link)

    def _pump_requests(self, link: _Link) -> None:
        with contextlib.suppress(OSError):
            while data := link.near.recv(1 << 20):
                fault = self._fault
                if fault is not None and self._chosen in data:
                    self._fault = None
                    self.injected += 1
                    link.fault = fault
                    if fault is Fault.LOST:
                        link.end()
                    if fault is Fault.LATE:
                        self._let_go.wait()
                link.far.sendall(data)
            if link.fault is not Fault.LATE:
                link.far.shutdown(socket.SHUT_WR)

    def _pump_answers(self, link: _Link) -> None:
        with contextlib.suppress(OSError):
            while data := link.far.recv(1 << 20):
                if not self._open_again.is_set():
                    self.answer_is_held.set()
                    self._open_again.wait()
                if link.fault is Fault.LATE:
                    self.late_is_done.set()
                elif link.fault is not None:
                    data = self._spoil(link, data)
                link.near.sendall(data)
            link.near.shutdown(socket.SHUT_WR)

    @staticmethod
    def _spoil(link: _Link, data: bytes) -> bytes:
        """Return what arrives of the answers to a request that was chosen."""
        fault, link.fault = link.fault, None
        if fault is Fault.HALF:
            link.near.sendall(data[: len(data) // 2])
        if fault in {Fault.CUT, Fault.HALF}:
            link.end()
        if fault in {Fault.MISSING, Fault.DOUBLE}:
            with contextlib.suppress(ValueError):  # more of it is to come
                end = _end_of_reply(data)
                return data[end:] if fault is Fault.MISSING else data[:end] + data
        return b""


def _end_of_reply(data: bytes, at: int = 0) -> int:
    """Return where a reply of Redis ends that begins at a place and is all there.

    Raises:
        ValueError: It is not.
    """
    end = data.index(b"\r\n", at) + 2
    kind, number = data[at : at + 1], data[at + 1 : end - 2]
    if kind == b"$":
        return end + max(int(number) + 2, 0)
    if kind == b"*":
        for _ in range(max(int(number), 0)):
            end = _end_of_reply(data, end)
    return end
