"""Whatever comes in a frame is answered in the envelope, and never with a 5xx.

Over a real socket to a real process; the connection stays open all the while.
"""

import json

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from .peer import QUICK, Peer, in_frame
from .sent_frames import HEADERS, INDEX, PACKED, TEXTS


@pytest.fixture(scope="module")
def shared(server):
    """A connection that stays open whatever is sent: that it does is the test."""
    peer = Peer(server.websocket_url)
    yield peer
    peer.socket.shutdown()


@settings(QUICK, max_examples=3 * settings.default.max_examples)
@given(text=TEXTS, cuts=st.lists(INDEX, max_size=3))
def test_any_text_gets_an_answer(shared, text, cuts):
    shared.ask(text.encode(), binary=False, cuts=cuts)


@settings(QUICK, max_examples=3 * settings.default.max_examples)
@given(data=PACKED, cuts=st.lists(INDEX, max_size=3))
@example(data=msgspec.msgpack.encode({"action": b"queue_list"}), cuts=[])
def test_any_bytes_get_an_answer(shared, data, cuts):
    shared.ask(data, binary=True, cuts=cuts)


# -- deep -------------------------------------------------------------------------


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
