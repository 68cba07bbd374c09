"""What makes frames: likely ones, wrong ones, broken ones."""

import json

import msgspec
from hypothesis import strategies as st
from zaqarserver.operations import OPERATIONS
from zaqarserver.operations.fields import RequestPart, members

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
    "topic_name",
    *("detailed", "name", "with_count", "filters", "messages", "message_id"),
    *("message_ids", "echo", "include_claimed", "include_delayed", "pop", "ttl"),
    *("claim_id", "claim_ids", "grace", "subscription_id", "subscriber", "options"),
    *("confirmed", "body", "delay", "op", "path", "value", "paths", "expires", "sent"),
    *("size", "_default_message_ttl", "_max_claim_count", "_dead_letter_queue"),
    *("_retry_policy", "_json_schema", "filter", "post_data", "methods"),
]
NAMES = st.sampled_from([*"abababab", "x" * 65, ".."])
BOOLEANS = st.booleans()
TTLS = st.sampled_from([60, 300, 59, 43200, 1209600])
#: What members of requests are, mostly.
GOOD = {
    **dict.fromkeys(["queue_name", "topic_name"], NAMES),
    "resource_types": st.lists(
        st.sampled_from(["messages", "subscriptions", "x"]), max_size=2
    ),
    "subscriber": st.sampled_from(["http://x.example/", "mailto:a@b.example", "f:x"]),
    **dict.fromkeys(["message_ids", "claim_ids"], st.lists(TEXT, max_size=21)),
    **dict.fromkeys(["message_id", "claim_id", "subscription_id", "marker"], TEXT),
    **dict.fromkeys(["echo", "include_claimed", "include_delayed"], BOOLEANS),
    **dict.fromkeys(["detailed", "with_count", "confirmed"], BOOLEANS),
    **dict.fromkeys(["limit", "pop"], st.sampled_from([1, 10, 20, 0, 21])),
    **dict.fromkeys(["ttl", "grace"], TTLS),
    "filters": st.dictionaries(TEXT, st.lists(TEXT, max_size=2), max_size=2),
    "name": TEXT,
}
#: The members of documents that stand beside the queue's name.
SPREAD = {
    "subscription": ["subscriber", "ttl", "options"],
    "changes": ["subscriber", "ttl", "options"],
    "answer": ["confirmed"],
    "grant": ["paths", "methods", "expires"],
}


def members_of(action):
    """Return the members that an action's body may and must have."""
    found = {"may": [], "must": []}
    row = next((row for row in OPERATIONS if row.name == action), None)
    for member in members(row.fields) if row is not None else ():
        if member.spec.part is not RequestPart.EDGE:
            names = SPREAD.get(member.name, [member.name])
            found["may" if member.optional else "must"] += names
    return found


def mostly(usual, *others):
    """Return what makes the usual in three cases of four, else one of the others."""
    return st.integers(0, 3).flatmap(lambda turn: usual if turn else st.one_of(*others))


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
    message = mostly(
        st.fixed_dictionaries({"body": anything}, optional={"ttl": TTLS}),
        st.fixed_dictionaries(
            {}, optional={"body": anything, "ttl": anything, "delay": anything}
        ),
    )
    change = st.fixed_dictionaries(
        {},
        optional={
            "op": mostly(st.sampled_from(["add", "remove", "replace"]), anything),
            "path": mostly(st.sampled_from(["/metadata/a", "/metadata/_x"]), anything),
            "value": anything,
        },
    )
    some = st.dictionaries(st.sampled_from(MEMBERS), anything, max_size=3)
    good = {
        **GOOD,
        "messages": st.lists(message, min_size=1, max_size=3),
        "operations": st.lists(change, max_size=3),
        "metadata": some,
        "options": some,
    }

    def body_of(action):
        known = members_of(action)
        parts = [
            {name: good.get(name, anything) for name in known[kind]}
            for kind in ("must", "may")
        ]
        right = st.fixed_dictionaries(parts[0], optional=parts[1])
        wrong = st.sampled_from([*parts[0], *parts[1], "other"])
        one_wrong = st.builds(
            lambda body, name, value: {**body, name: value}, right, wrong, anything
        )
        return mostly(right, one_wrong)

    def frame_of(action):
        return st.fixed_dictionaries(
            {"action": st.just(action), "headers": sent, "body": body_of(action)}
        )

    headers = st.dictionaries(
        st.sampled_from([*HEADERS, "X-Auth-Token", "X-Request-ID", "X-Roles", "Date"])
        | st.sampled_from(["URL-Signature", "URL-Expires", "URL-Methods", "URL-Paths"]),
        anything,
        max_size=3,
    )
    more = headers.map(lambda extra: {**extra, **HEADERS})
    sent = st.sampled_from([st.just(HEADERS)] * 3 + [more, headers]).flatmap(
        lambda chosen: chosen
    )
    odd_frame = st.fixed_dictionaries(
        {},
        optional={
            "action": st.sampled_from(ACTIONS) | anything,
            "headers": sent | anything,
            "body": some | anything,
            "api": anything,
        },
    )
    likely_frame = st.sampled_from(ACTIONS).flatmap(frame_of)
    return mostly(likely_frame, odd_frame, anything)


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
    return mostly(documents, cut, changed, st.binary(max_size=40))


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
