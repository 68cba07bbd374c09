"""A client on a real socket that checks every frame that it receives."""

import itertools
import json
import struct

import msgspec
import pytest
import websocket
from hypothesis import HealthCheck, settings
from websocket import ABNF

from .sent_frames import HEADERS

#: Seconds without an answer after which the server counts as hung.
PATIENCE = 20
ENVELOPE = {"request", "body", "headers"}
QUICK = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def in_frame(action, **body):
    """Return a request on a queue."""
    return {"action": action, "headers": HEADERS, "body": {"queue_name": "a", **body}}


def check(answer):
    """Check what every answer has."""
    headers = answer["headers"]
    assert set(headers) <= {"status", "X-Request-ID"}
    assert 200 <= headers["status"] < 500, answer
    assert set(answer["request"]) == {"action", "body", "headers", "api"}
    assert answer["request"]["api"] == "v2"
    if headers["status"] >= 400 and isinstance(answer["body"], dict):
        assert "error" in answer["body"] or "messages" in answer["body"]


class Peer:
    """A client that checks every frame that it receives."""

    def __init__(self, url):
        self._url = url
        self.connect()

    def connect(self):
        """Begin a connection."""
        self.socket = websocket.create_connection(self._url, timeout=PATIENCE)

    def ask(self, data, *, binary, cuts=()):
        """Send one message and check its answer, on a connection that stays."""
        try:
            self.send(data, binary=binary, cuts=cuts)
            check(self.receive(binary=binary))
        except BaseException:
            # So that what follows, and a smaller example, finds a connection.
            self.socket.shutdown()
            self.connect()
            raise

    def send(self, data, *, binary, cuts=()):
        """Send one message, in fragments that end at the cuts."""
        opcode = ABNF.OPCODE_BINARY if binary else ABNF.OPCODE_TEXT
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        for begin, end in itertools.pairwise(edges[:-1]):
            self.socket.send_frame(ABNF(0, 0, 0, 0, opcode, 1, data[begin:end]))
            self.socket.ping(b"between")
            opcode = ABNF.OPCODE_CONT
        self.socket.send_frame(ABNF(1, 0, 0, 0, opcode, 1, data[edges[-2] :]))

    def receive(self, *, binary):
        """Return the next answer; skip pushes."""
        while True:
            opcode, data = self.socket.recv_data()
            assert opcode in (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY), (opcode, data)
            is_binary = opcode == ABNF.OPCODE_BINARY
            try:
                answer = msgspec.msgpack.decode(data) if is_binary else json.loads(data)
            except ValueError:
                continue  # a template that is no JSON; no answer looks like that
            if isinstance(answer, dict) and set(answer) == ENVELOPE:
                assert is_binary is binary
                return answer

    def closing(self):
        """Read on to the server's Close; return its code, and see the end."""
        while True:
            frame = self.socket.recv_frame()
            if frame.opcode == ABNF.OPCODE_CLOSE:
                break
        with pytest.raises((OSError, websocket.WebSocketException)):
            self.socket.recv_frame()
        return struct.unpack("!H", frame.data[:2])[0]
