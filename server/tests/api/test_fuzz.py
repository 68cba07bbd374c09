"""Whatever is sent, the answer is an error body or a success, never a 5xx."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zaqarserver.operations import OPERATIONS

CLIENT = "3381af922b9e11e3b19171861300734c"

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=8)
            | st.sampled_from(
                ["messages", "body", "ttl", "grace", "delay", "op", "path", "value"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
LIKELY = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(
            st.fixed_dictionaries(
                {}, optional={"body": JSON, "ttl": JSON, "delay": JSON}
            ),
            max_size=3,
        )
        | JSON,
        "ttl": JSON,
        "grace": JSON,
        "resource_types": JSON,
        "_default_message_ttl": JSON,
        "_default_message_delay": JSON,
        "_max_claim_count": JSON,
        "_dead_letter_queue": JSON,
        "_retry_policy": JSON,
    },
)
PATCHES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "op": st.sampled_from(["add", "remove", "replace", "test"]) | JSON,
            "path": st.sampled_from(["/metadata/a", "/metadata/_max_claim_count"])
            | JSON,
            "value": JSON,
        },
    ),
    max_size=3,
)
DOCUMENTS = (
    st.binary(max_size=64)
    | (JSON | LIKELY | PATCHES).map(lambda value: json.dumps(value).encode())
    | st.just(b"")
)
SEGMENT = st.text(
    st.characters(exclude_characters="/?#", exclude_categories=["Cs"]), max_size=70
) | st.sampled_from(["orders", "slow", "x" * 64, "x" * 65, ".", "..", "a%00"])
VALUE = st.text(
    st.characters(exclude_categories=["Cs"]), max_size=12
) | st.sampled_from(["1", "0", "-1", "20", "21", "true", "None", "9" * 25, "a,b", ","])
QUERY = st.dictionaries(
    st.sampled_from(
        [
            "limit",
            "marker",
            "echo",
            "include_claimed",
            "include_delayed",
            "ids",
            "pop",
            "claim_id",
            "claim_ids",
            "detailed",
            "name",
            "with_count",
        ]
    )
    | VALUE,
    VALUE,
    max_size=4,
)
HEADER_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Accept",
            "Client-ID",
            "X-Project-ID",
            "X-Roles",
            "X-User-Id",
            "Content-Type",
            "URL-Signature",
            "EXTRA-SPEC",
            "X-Tenant",
        ]
    ),
    HEADER_TEXT
    | st.sampled_from([CLIENT, "application/openstack-messaging-v2.0-json-patch"]),
    max_size=4,
)
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
PATHS = sorted({row.path for row in OPERATIONS} | {"/", "/v2", "/metrics", "/readyz"})


@pytest.fixture(scope="module")
def target(module_api):
    """A server with something in it."""
    module_api.put("/v2/queues/slow", {"_default_message_delay": 60})
    module_api.post_bodies("orders", *range(5))
    return module_api


def quote(text):
    return "".join(f"%{byte:02X}" for byte in text.encode())


#: Pages of plain text, for programs that watch the server.
TEXTS = ("/metrics", "/healthz", "/readyz")


@settings(
    max_examples=4 * settings.default.max_examples,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    method=st.sampled_from(
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    ),
    template=st.sampled_from(PATHS),
    segments=st.lists(SEGMENT, min_size=2, max_size=2),
    query=QUERY,
    headers=HEADERS,
    document=DOCUMENTS,
)
def test_no_request_gets_more_than_an_error_body(
    target, method, template, segments, query, headers, document
):
    path = template
    for name in ("{queue_name}", "{topic_name}"):
        path = path.replace(name, quote(segments[0]))
    for name in ("{message_id}", "{claim_id}"):
        path = path.replace(name, quote(segments[1]))
    if query:
        pairs = (f"{quote(name)}={quote(value)}" for name, value in query.items())
        path = f"{path}?{'&'.join(pairs)}"
    answer = target.request(method, path, raw=document, headers=headers)
    assert answer.status < 500, answer.content
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    if answer.status >= 400 and method != "HEAD":
        assert answer.headers["content-type"] == "application/json"
        assert answer.json["title"]
    if answer.status == 204:
        assert answer.content == b""
    elif answer.headers.get("content-type", "").startswith("text/html"):
        assert template == "/"  # what a browser is shown
    elif answer.status < 400 and answer.content and template not in TEXTS:
        json.loads(answer.content)
