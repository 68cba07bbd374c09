"""Whatever comes in frames is answered in the envelope, and never with a 5xx.

Over a real socket to a real process: a frame that breaks no rule of WebSocket never
costs the connection, and one that does closes it with a code.
"""

import itertools
import json
import struct

import msgspec
import pytest
import websocket
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from websocket import ABNF
from zaqarserver.auth import NoAuth
from zaqarserver.metrics import Metrics
from zaqarserver.notify.websocket import Hub
from zaqarserver.operations import OPERATIONS
from zaqarserver.websocket import FrameEdge

from .bench import Bench
from .service import CLIENT

#: Seconds without an answer after which the server counts as hung.
PATIENCE = 20
HEADERS = {"Client-ID": CLIENT, "X-Project-ID": "frames"}
NOTHING = {"action": None, "body": {}, "headers": {}, "api": "v2"}
QUICK = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# -- what is sent -----------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.sampled_from([0, 1, 20, 21, 59, 60, 61, 900, 43201, 1209600])
    | st.floats()
    | TEXT
)
JSON_ONLY = st.integers(-(2**70), 2**70)
PACKED_ONLY = (
    st.binary(max_size=8)
    | st.builds(msgspec.msgpack.Ext, st.integers(-128, 127), st.binary(max_size=9))
    | st.datetimes()
)
ACTIONS = sorted({row.name for row in OPERATIONS} | {"authenticate"})
MEMBERS = [
    *("queue_name", "metadata", "operations", "resource_types", "marker", "limit"),
    *("detailed", "name", "with_count", "filters", "messages", "message_id"),
    *("message_ids", "echo", "include_claimed", "include_delayed", "pop", "ttl"),
    *("claim_id", "claim_ids", "grace", "subscription_id", "subscriber", "options"),
    *("confirmed", "body", "delay", "op", "path", "value", "paths", "expires", "sent"),
    *("size", "_default_message_ttl", "_max_claim_count", "_dead_letter_queue"),
    *("_retry_policy", "_json_schema", "filter", "post_data", "methods"),
]
NAMES = st.sampled_from(["a", "b", "slow", "..", "x" * 65, "é", ""])


def values(leaves, keys):
    """Return what makes nested values out of these."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4)
        ),
        max_leaves=10,
    )


def frames(anything):
    """Return what makes frames: likely ones, and ones that are wrong at any level."""
    message = st.fixed_dictionaries(
        {}, optional={"body": anything, "ttl": anything, "delay": anything}
    )
    change = st.fixed_dictionaries(
        {},
        optional={
            "op": st.sampled_from(["add", "remove", "replace"]) | anything,
            "path": st.sampled_from(["/metadata/a", "/metadata/_x"]) | anything,
            "value": anything,
        },
    )
    likely = {
        "queue_name": NAMES,
        "messages": st.lists(message, max_size=3),
        "operations": st.lists(change, max_size=3),
        "metadata": st.dictionaries(st.sampled_from(MEMBERS), anything, max_size=3),
        "subscriber": st.just("http://x.example/"),
        "message_ids": st.lists(TEXT, max_size=22),
        "options": st.dictionaries(st.sampled_from(MEMBERS), anything, max_size=3),
        "limit": st.integers(-1, 22),
        "pop": st.integers(-1, 22),
    }
    body = st.lists(st.sampled_from(MEMBERS), max_size=5, unique=True).flatmap(
        lambda names: st.fixed_dictionaries(
            {name: likely.get(name, anything) | anything for name in names}
        )
    )
    named = st.builds(lambda inner, name: {**inner, "queue_name": name}, body, NAMES)
    headers = st.dictionaries(
        st.sampled_from([*HEADERS, "X-Auth-Token", "X-Request-ID", "X-Roles", "Date"])
        | st.sampled_from(["URL-Signature", "URL-Expires", "URL-Methods", "URL-Paths"]),
        anything,
        max_size=3,
    )
    sent = st.just(HEADERS) | headers.map(lambda extra: {**HEADERS, **extra}) | headers
    likely_frame = st.fixed_dictionaries(
        {"action": st.sampled_from(ACTIONS), "headers": sent, "body": named | body}
    )
    odd_frame = st.fixed_dictionaries(
        {},
        optional={
            "action": st.sampled_from(ACTIONS) | anything,
            "headers": sent | anything,
            "body": body | anything,
            "api": anything,
        },
    )
    return likely_frame | likely_frame | odd_frame | anything


JSON_FRAMES = frames(values(PLAIN | JSON_ONLY, TEXT | st.sampled_from(MEMBERS)))
PACKED_FRAMES = frames(
    values(PLAIN | PACKED_ONLY, st.sampled_from(MEMBERS) | TEXT | st.integers(0, 9))
)


def broken(documents):
    """Return what makes documents: whole, cut off, or with some bytes changed."""
    cut = st.builds(lambda data, at: data[: at % (len(data) + 1)], documents, INDEX)
    changed = st.builds(
        lambda data, at, new: data[: at % (len(data) + 1)] + new + data[at:],
        documents,
        INDEX,
        st.binary(min_size=1, max_size=3),
    )
    return documents | documents | cut | changed | st.binary(max_size=40)


INDEX = st.integers(0, 400)
TEXTS = broken(JSON_FRAMES.map(lambda value: json.dumps(value).encode())).map(
    lambda data: data.decode(errors="replace")
) | st.sampled_from(
    [
        '{"action": "\\ud800"}',
        '{"action": "queue_list", "headers": {"\\udc00": 1}}',
        '{"action": "queue_list", "headers": {"X-Request-ID": NaN}}',
        "\ufeff{}",
        "\0",
        "",
    ]
)
PACKED = broken(PACKED_FRAMES.map(msgspec.msgpack.encode))

# -- what comes back --------------------------------------------------------------


class Peer:
    """A client that looks at every frame that it gets."""

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
        """Return the next answer; what is pushed in between is no answer."""
        while True:
            opcode, data = self.socket.recv_data()
            assert opcode in (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY), (opcode, data)
            is_binary = opcode == ABNF.OPCODE_BINARY
            answer = msgspec.msgpack.decode(data) if is_binary else json.loads(data)
            if isinstance(answer, dict) and set(answer) == {
                "request",
                "body",
                "headers",
            }:
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


@pytest.fixture(scope="module")
def shared(server):
    """A connection that stays open whatever is sent: that it does is the test."""
    peer = Peer(server.websocket_url)
    yield peer
    peer.socket.shutdown()


@pytest.fixture
def peer(server):
    """A connection of the test's own."""
    made = Peer(server.websocket_url)
    yield made
    made.socket.shutdown()


def check(answer):
    """Check what every answer has."""
    headers = answer["headers"]
    assert set(headers) <= {"status", "X-Request-ID"}
    assert 200 <= headers["status"] < 500, answer
    assert set(answer["request"]) == {"action", "body", "headers", "api"}
    assert answer["request"]["api"] == "v2"
    if headers["status"] >= 400 and isinstance(answer["body"], dict):
        assert "error" in answer["body"] or "messages" in answer["body"]


@settings(QUICK, max_examples=800)
@given(text=TEXTS, cuts=st.lists(INDEX, max_size=3))
def test_any_text_gets_an_answer(shared, text, cuts):
    shared.ask(text.encode(), binary=False, cuts=cuts)


@settings(QUICK, max_examples=800)
@given(data=PACKED, cuts=st.lists(INDEX, max_size=3))
@example(data=msgspec.msgpack.encode({"action": b"queue_list"}), cuts=[])
def test_any_bytes_get_an_answer(shared, data, cuts):
    shared.ask(data, binary=True, cuts=cuts)


# -- deep -------------------------------------------------------------------------


def in_frame(action, **body):
    return {"action": action, "headers": HEADERS, "body": {"queue_name": "a", **body}}


DEEP = "deep"
#: Where a deep value may be, and what shows it again.
PLACES = {
    "message": in_frame("message_post", messages=[{"body": DEEP}]),
    "metadata": in_frame("queue_create", queue_name="deep", metadata={"a": DEEP}),
    "patch": in_frame(
        "queue_update", operations=[{"op": "add", "path": "/metadata/a", "value": DEEP}]
    ),
    "options": in_frame(
        "subscription_create", subscriber="http://x.example/", options={"a": DEEP}
    ),
    "schema": in_frame("queue_create", metadata={"_json_schema": {"items": DEEP}}),
    "filters": in_frame("queue_list", filters={"a": DEEP}),
    "unknown": in_frame("queue_list", other=DEEP),
    "header": {
        "action": "queue_list",
        "headers": {**HEADERS, "Other": DEEP},
        "body": {},
    },
    "request id": {
        "action": "queue_list",
        "headers": {**HEADERS, "X-Request-ID": DEEP},
        "body": {},
    },
    "action": {"action": DEEP, "headers": HEADERS, "body": {}},
    "body": {"action": "queue_list", "headers": HEADERS, "body": DEEP},
    "frame": DEEP,
}
SHOWN = [
    in_frame("message_list", echo=True, limit=20),
    in_frame("message_delete_many", pop=20),
    in_frame("queue_list", detailed=True),
    in_frame("queue_get"),
    in_frame("subscription_list"),
    in_frame("queue_purge"),
    in_frame("queue_delete"),
    in_frame("queue_delete", queue_name="deep"),
]


def deep(frame, depth, *, binary, kind):
    """Return a frame with a value of so many levels in it."""
    if binary:
        around = {"list": (b"\x91", b""), "map": (b"\x81\xa1a", b"")}[kind]
        mark, core = msgspec.msgpack.encode(DEEP), b"\xc0"
        text = msgspec.msgpack.encode(frame)
    else:
        around = {"list": (b"[", b"]"), "map": (b'{"a":', b"}")}[kind]
        mark, core = json.dumps(DEEP).encode(), b"null"
        text = json.dumps(frame).encode()
    at = text.rindex(mark)
    nested = around[0] * depth + core + around[1] * depth
    return text[:at] + nested + text[at + len(mark) :]


@pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
@pytest.mark.parametrize("place", PLACES)
@settings(QUICK, max_examples=8)
@given(
    depth=st.integers(100, 1100) | st.integers(940, 1000) | st.sampled_from([20000]),
    kind=st.sampled_from(["list", "map"]),
)
def test_deep_values_are_kept_or_refused_and_shown_in_both_encodings(
    shared, place, binary, depth, kind
):
    frame = PLACES[place]
    shared.ask(deep(frame, depth, binary=binary, kind=kind), binary=binary)
    for question in SHOWN:
        shared.ask(json.dumps(question).encode(), binary=False)
        shared.ask(msgspec.msgpack.encode(question), binary=True)


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
