"""What makes frames: likely ones, wrong ones, broken ones."""

import json

import msgspec
from hypothesis import strategies as st
from zaqarserver.operations import OPERATIONS

from .service import CLIENT

HEADERS = {"Client-ID": CLIENT, "X-Project-ID": "frames"}

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
