"""What ends a connection ends it with a code; what need not, does not."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websocket import ABNF
from zaqarserver.common.metrics import Metrics
from zaqarserver.identity.auth import NoAuth
from zaqarserver.notify.websocket import Hub
from zaqarserver.websocket import FrameEdge

from .bench import Bench
from .peer import QUICK, Peer, in_frame
from .sent_frames import HEADERS


@pytest.fixture
def peer(server):
    """A connection of the test's own."""
    made = Peer(server.websocket_url)
    yield made
    made.socket.shutdown()


# -- huge -------------------------------------------------------------------------

#: Twice the greatest post and 64 KiB: what a message may have at all.
LARGEST = 2 * 262144 + 65536


@pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
def test_a_message_of_the_greatest_size_is_answered_and_one_byte_more_ends_it(
    peer, binary
):
    frame = in_frame("message_post", messages=[{"body": ""}])
    encode = (
        msgspec.msgpack.encode if binary else lambda value: json.dumps(value).encode()
    )
    fill = LARGEST - len(
        encode(in_frame("message_post", messages=[{"body": "x" * 70000}]))
    )
    frame["body"]["messages"][0]["body"] = "x" * (70000 + fill)
    data = encode(frame)
    assert len(data) == LARGEST
    peer.send(data, binary=binary)
    answer = peer.receive(binary=binary)
    assert answer["headers"]["status"] == 400
    assert answer["request"]["body"] == {}
    frame["body"]["messages"][0]["body"] += "x"
    peer.send(encode(frame), binary=binary)
    assert peer.closing() == 1009


def test_a_message_that_grows_too_large_in_fragments_ends_the_connection(peer):
    part = ABNF(0, 0, 0, 0, ABNF.OPCODE_TEXT, 1, b'"' + b"x" * 99_999)
    for _ in range(LARGEST // len(part.data) + 1):
        peer.socket.send_frame(part)
        part.opcode = ABNF.OPCODE_CONT
    assert peer.closing() == 1009


# -- against the protocol ---------------------------------------------------------


def frame_bytes(first, payload=b"", *, length=None, masked=True):
    """Return a frame as it goes over the wire; the mask is zero."""
    size = len(payload) if length is None else length
    if size < 126:
        head = bytes([first, size | 0x80 * masked])
    else:
        head = bytes([first, 127 | 0x80 * masked]) + size.to_bytes(8, "big")
    return head + bytes(4) * masked + payload


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (frame_bytes(0x83), 1002),
        (frame_bytes(0x8B), 1002),
        (frame_bytes(0xC1, b"{}"), 1002),
        (frame_bytes(0x91, b"{}"), 1002),
        (frame_bytes(0x81, b"{}", masked=False), 1002),
        (frame_bytes(0x80, b"{}"), 1002),
        (frame_bytes(0x01, b"{") + frame_bytes(0x81, b"{}"), 1002),
        (frame_bytes(0x09, b"x"), 1002),
        (frame_bytes(0x89, b"x" * 126), 1002),
        (frame_bytes(0x88, b"\x03"), 1002),
        (frame_bytes(0x88, (999).to_bytes(2, "big")), 1002),
        (frame_bytes(0x88, b"\x03\xe8\xff\xff"), 1007),
        (frame_bytes(0x81, b"\xff\xfe"), 1007),
        (frame_bytes(0x01, b"\xc3") + frame_bytes(0x80, b"("), 1007),
        (frame_bytes(0x81, b"", length=LARGEST + 1), 1009),
        (frame_bytes(0x82, b"", length=2**63 - 1), 1009),
        (frame_bytes(0x82, b"", length=2**63), 1009),
    ],
    ids=[
        "data opcode",
        "control opcode",
        "first reserved bit",
        "third reserved bit",
        "no mask",
        "nothing to continue",
        "begun twice",
        "ping in fragments",
        "large ping",
        "half a close code",
        "close code out of range",
        "close reason no text",
        "no text",
        "no text across fragments",
        "too large",
        "far too large",
        "negative size",
    ],
)
@settings(QUICK, max_examples=3)
@given(before=st.lists(st.binary(max_size=20), max_size=2))
def test_what_breaks_the_protocol_closes_the_connection_with_a_code(
    server, wrong, code, before
):
    peer = Peer(server.websocket_url)
    for data in before:
        peer.send(data, binary=True)
    peer.socket.sock.sendall(wrong)
    assert peer.closing() == code
    peer.socket.shutdown()


@settings(QUICK, max_examples=60)
@given(data=st.binary(min_size=1, max_size=80))
def test_a_peer_that_sends_noise_and_hangs_up_leaves_nothing_behind(server, data):
    peer = Peer(server.websocket_url)
    peer.socket.sock.sendall(data)
    peer.socket.sock.shutdown(1)
    while peer.socket.sock.recv(65536):
        pass
    peer.socket.shutdown()


# -- errors of the server -------------------------------------------------------------


class NoCounting(Metrics):
    """Metrics that are out of order."""

    def count_request(self, *_request):
        raise RuntimeError("counting is out of order")


class Failing(Bench):
    """A server that meets an error with each frame that it answers."""

    async def serve_frames(self, scope, receive, send):
        edge = FrameEdge(self.server, NoAuth(), NoCounting(), Hub(), "http://push")
        await edge.serve(scope, receive, send)


@pytest.mark.parametrize("extra", [{}, {"X-Request-ID": "r1"}], ids=["", "request id"])
def test_an_error_of_the_server_closes_the_connection_with_a_code(tmp_path, extra):
    bench = Failing(tmp_path, "sqlite://:memory:")
    dialog = bench.dial()
    frame = {"action": "queue_list", "headers": {**HEADERS, **extra}}
    dialog.send(json.dumps(frame).encode(), binary=False)
    dialog.receive()
    dialog.close()
    assert dialog.dropped == 1011
    bench.close()


# -- pushes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    ["[" * 3000 + "]" * 3000, '{"n": 99999999999999999999}', "[1e999]", "{"],
    ids=["deep", "large number", "not finite", "no JSON"],
)
def test_a_push_that_has_no_messagepack_form_comes_as_text(peer, template):
    subscribe = in_frame("subscription_create", options={"post_data": template})
    subscribe["body"]["queue_name"] = "pushed"
    post = in_frame("message_post", messages=[{"body": 1}])
    post["body"]["queue_name"] = "pushed"
    for frame in (subscribe, post):
        peer.send(msgspec.msgpack.encode(frame), binary=True)
        assert peer.receive(binary=True)["headers"]["status"] == 201
    assert peer.socket.recv_data() == (ABNF.OPCODE_TEXT, template.encode())
