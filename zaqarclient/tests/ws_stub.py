"""A small real WebSocket server that plays the answers a test wants."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import websocket
from websocket import ABNF

from zaqarclient.transport.request import Request

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Frame = dict[str, Any]
Answer = Callable[[Frame], Any]

NOTIFICATION = {
    "ttl": 60,
    "body": {"n": 1},
    "Message_Type": "Notification",
    "queue_name": "orders",
}


def answer(frame: Frame, status: int = 200, body: Any = None) -> Frame:
    """Return an answer as the service gives it, with the request's id."""
    headers = {"status": status}
    if "X-Request-ID" in frame["headers"]:
        headers["X-Request-ID"] = frame["headers"]["X-Request-ID"]
    repeated = {"body": {}, **frame, "api": "v2"}
    return {
        "request": repeated,
        "body": {} if body is None else body,
        "headers": headers,
    }


def raw(stub: WebsocketStub, action: str, **body: Any) -> Request:
    """A request without an API, as callers of the transport itself make them."""
    return Request(stub.url, action, content=json.dumps(body))


def lists(frame: Frame) -> Frame:
    return answer(frame, 200, {"queues": []})


def posted(frame: Frame) -> Frame:
    body = frame["body"]["messages"][0]["body"]
    return answer(frame, 201, {"message_ids": [f"m{body}"]})


class Peer:
    """The server's side of one connection."""

    def __init__(self, near: socket.socket) -> None:
        self._socket = near
        self._lock = threading.Lock()
        self.headers = self._shake_hands()
        self._reader = websocket.WebSocket(skip_utf8_validation=True)
        self._reader.sock = near

    def _shake_hands(self) -> dict[str, str]:
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += self._socket.recv(1)
        lines = data.decode().split("\r\n")[1:-2]
        headers = {
            k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines)
        }
        key = headers["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - the protocol's
        self._socket.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        return headers

    def receive(self) -> tuple[int, bytes]:
        frame = self._reader.recv_frame()
        return frame.opcode, frame.data

    def send(self, value: Any) -> None:
        """Send a frame: text as it is, anything else as JSON."""
        text = value if isinstance(value, str) else json.dumps(value)
        self.send_raw(ABNF.OPCODE_TEXT, text.encode())

    def send_raw(self, opcode: int, data: bytes) -> None:
        frame = ABNF.create_frame(data, opcode)
        frame.mask_value = 0
        with self._lock:
            self._socket.sendall(frame.format())

    def drop(self) -> None:
        """End the connection without a word."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


class WebsocketStub:
    """Plays answers, and notes the frames.

    Attributes:
        url: Where it listens.
        reply: Makes the answer of each frame; a list for several frames, None
            to say nothing.
        frames: What arrived.
        peers: The connections, in order.
        pings: How many pings came.
        pongs: How many answers to pings came.
        closes: How many connections were closed in good order.
        answers_pings: Whether it does as it has to.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = [self._listener]
        self.changed = threading.Condition()
        scheme = "ws" if tls is None else "wss"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self.reply: Answer = answer
        self.frames: list[Frame] = []
        self.peers: list[Peer] = []
        self.closes = 0
        self.pings = 0
        self.pongs = 0
        self.answers_pings = True

    @property
    def actions(self) -> list[str]:
        return [frame["action"] for frame in self.frames]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds, which frames bring about."""
        with self.changed:
            assert self.changed.wait_for(condition, 10)

    @contextlib.contextmanager
    def running(self) -> Iterator[WebsocketStub]:
        self._start(self._accept)
        try:
            yield self
        finally:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            for thread in self._threads:
                thread.join(10)
            for one in self._sockets:
                one.close()

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._sockets.append(near)
                self._start(self._serve, near)

    def _serve(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError, websocket.WebSocketException):
            if self._tls is not None:
                near = self._tls.wrap_socket(near, server_side=True)
                self._sockets.append(near)
            peer = Peer(near)
            self.peers.append(peer)
            while True:
                opcode, data = peer.receive()
                self._take(peer, opcode, data)
                if opcode == ABNF.OPCODE_CLOSE:
                    peer.send_raw(opcode, data)
                    peer.drop()
                    return

    def _take(self, peer: Peer, opcode: int, data: bytes) -> None:
        said: Any = None
        with self.changed:
            if opcode == ABNF.OPCODE_TEXT:
                self.frames.append(json.loads(data))
                said = self.reply(self.frames[-1])
            self.closes += opcode == ABNF.OPCODE_CLOSE
            self.pings += opcode == ABNF.OPCODE_PING
            self.pongs += opcode == ABNF.OPCODE_PONG
            self.changed.notify_all()
        if opcode == ABNF.OPCODE_PING and self.answers_pings:
            peer.send_raw(ABNF.OPCODE_PONG, data)
        for one in said if isinstance(said, list) else [said]:
            if one is not None:
                peer.send(one)
