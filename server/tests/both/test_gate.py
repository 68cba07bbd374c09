"""Who gets in over REST where callers have to authenticate (``rest-v2`` 1.9, 6.1)."""

import itertools

import pytest
from zaqarserver.errors import Forbidden
from zaqarserver.identity.auth import Identity
from zaqarserver.operations import OPERATIONS
from zaqarserver.operations.signed_urls import Signer
from zaqarserver.storage.accounts import UsageGet

from .bench import Bench
from .door import OPTIONS, SECRET, Door
from .service import CLIENT

PARTS = {
    "queue_name": "orders",
    "topic_name": "orders",
    "message_id": "x",
    "claim_id": "x",
    "subscription_id": "x",
}
ROUTES = sorted({(row.method, row.path) for row in OPERATIONS})
QUEUE = "/v2/queues/orders"
MESSAGES = f"{QUEUE}/messages"
#: Headers by which a server behind a proxy could be told who asks.
CLAIMS = {
    "X-Project-ID": "alpha",
    "X-Tenant-Id": "alpha",
    "X-Tenant": "alpha",
    "X-Roles": "admin",
    "X-Role": "admin",
    "X-User-Id": "admin",
    "X-Identity-Status": "Confirmed",
    "X-Service-Identity-Status": "Confirmed",
    "X-Service-Roles": "service",
    "X-Is-Admin-Project": "True",
    "OpenStack-System-Scope": "all",
    "EXTRA-SPEC": "messagecode:x",
}


@pytest.fixture
def door():
    return Door()


@pytest.fixture
def bench(door, tmp_path):
    made = Bench(tmp_path, "sqlite://:memory:", OPTIONS, door)
    yield made
    made.close()


def ask(bench, method, target, token=None, body=None, **headers):
    sent = {"Client-ID": CLIENT, **headers}
    if token is not None:
        sent["X-Auth-Token"] = token
    return bench.http(method, target, sent, body)


def refusal(answer):
    return (answer.status, answer.headers.get("WWW-Authenticate"), answer.content)


UNAUTHORIZED = (
    401,
    'Keystone uri="http://k/v3"',
    b'{"error":{"code":401,"title":"Unauthorized","message":"Who are you?"}}',
)


def test_nothing_is_told_to_strangers_not_even_which_paths_there_are(bench):
    every = [(method, path.format_map(AnyName())) for method, path in ROUTES]
    unknown = [("GET", "/v3"), ("PUT", "/v2"), ("GET", "/v2/queues/"), ("TRACE", "/x")]
    for method, path in [*every, *unknown]:
        for more in ({}, CLAIMS, {"X-Auth-Token": ""}, {"X-Auth-Token": "nobody"}):
            answer = ask(bench, method, path, **more)
            assert refusal(answer) == UNAUTHORIZED, (method, path, more)
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["X-OpenStack-Request-ID"].startswith("req-")
    usage = bench.run(bench.storage.do(UsageGet("alpha", bench.now)))
    assert (usage.queues, usage.messages) == (0, 0)


class AnyName(dict):
    """Has a name for everything that a path may hold."""

    def __missing__(self, key):
        return PARTS.get(key, "x")


def test_a_request_for_nothing_in_particular_is_open(bench, door):
    statuses = [
        ask(bench, "GET", path).status for path in ("/", "/metrics", "/confirm")
    ]
    assert statuses == [300, 200, 200]
    assert ask(bench, "GET", "/", "nobody").status == 300
    assert door.asked == []


def test_what_looks_like_an_open_path_is_not(bench):
    for path in ("//", "/metrics/", "/Metrics", "/confirm/x", "/."):
        assert ask(bench, "GET", path).status == 401, path


def test_unknown_paths_and_methods_are_told_to_callers_that_are_known(bench):
    assert ask(bench, "GET", "/v2/nothing", "alice").status == 404
    assert ask(bench, "PUT", MESSAGES, "alice").status == 405
    assert ask(bench, "GET", "/v2/ping", "alice").status == 204


def test_the_project_is_the_token_s_whatever_the_headers_say(bench):
    assert ask(bench, "PUT", QUEUE, "bob", **CLAIMS).status == 201
    assert bench.run(bench.storage.do(UsageGet("beta", bench.now))).queues == 1
    assert bench.run(bench.storage.do(UsageGet("alpha", bench.now))).queues == 0
    empty = ask(bench, "PUT", QUEUE, "alice", **{"X-Project-ID": ""})
    assert empty.status == 201


def test_the_roles_are_the_token_s_whatever_the_headers_say(bench):
    assert ask(bench, "GET", "/v2/health", "alice", **CLAIMS).status == 403
    roles = {"X-Roles": "member"}
    assert ask(bench, "GET", "/v2/health", "admin", **roles).status == 200


def test_a_token_for_no_project_is_explained(bench, door):
    door.known["unscoped"] = Forbidden("The token is for no project.")
    answer = ask(bench, "GET", "/v2/queues", "unscoped")
    assert answer.status == 403
    assert b"for no project" in answer.content


def test_a_server_that_cannot_ask_lets_nobody_in_and_says_when_to_try_again(
    bench, door
):
    door.is_silent = True
    for path in ("/v2/queues", "/v2/nothing", MESSAGES):
        answer = ask(bench, "GET", path, "alice")
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["Content-Type"] == "application/json"
        assert b"identity service" in answer.content
    assert ask(bench, "GET", "/").status == 300


def test_a_preflight_needs_no_token_and_other_questions_do(bench):
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
    assert ask(bench, "OPTIONS", MESSAGES, **preflight).status == 200
    for some in itertools.chain([{}], ({name: preflight[name]} for name in preflight)):
        assert ask(bench, "OPTIONS", MESSAGES, **some).status == 401
    assert ask(bench, "GET", MESSAGES, **preflight).status == 401
    assert ask(bench, "OPTIONS", MESSAGES, "alice").status == 200


# -- signatures --------------------------------------------------------------------


def signed(project="alpha", paths=(MESSAGES,), methods=("GET", "POST")):
    grant = Signer(SECRET).sign(paths, methods, project, 4_000_000_000.0)
    return {
        "URL-Signature": grant.signature,
        "URL-Expires": grant.expires,
        "URL-Methods": ",".join(grant.methods),
        "URL-Paths": ",".join(grant.paths),
        "X-Project-ID": project,
    }


POST = b'{"messages": [{"body": 1, "ttl": 60}]}'


def test_a_signature_stands_for_a_token_on_its_paths(bench, door):
    assert ask(bench, "POST", MESSAGES, body=POST, **signed()).status == 201
    assert ask(bench, "GET", MESSAGES + "/x", **signed()).status == 404
    assert door.asked == []
    assert bench.run(bench.storage.do(UsageGet("alpha", bench.now))).messages == 1


def test_where_there_is_a_signature_it_alone_decides(bench, door):
    wrong = signed() | {"URL-Signature": "0" * 64}
    empty = signed() | {"URL-Signature": ""}
    for headers in (wrong, empty, {"URL-Signature": ""}, {"URL-Signature": "x"}):
        for path in (MESSAGES, "/v2/queues", "/v2/nothing"):
            answer = ask(bench, "GET", path, "alice", **headers)
            assert (answer.status, answer.content) == (
                404,
                b'{"title":"404 Not Found"}',
            )
    assert door.asked == []


NOT_SIGNED = [
    ("DELETE", MESSAGES),
    ("GET", MESSAGES + "x"),
    ("GET", MESSAGES.replace("orders", "other")),
    ("GET", QUEUE),
    ("GET", QUEUE + "/stats"),
    ("POST", QUEUE + "/share"),
    ("POST", QUEUE + "/purge"),
    ("GET", QUEUE + "/claims"),
    ("GET", "/v2/queues"),
    ("GET", "/v2/health"),
    ("GET", "/v2/ping"),
    ("OPTIONS", MESSAGES),
]


def test_a_signature_opens_nothing_but_what_it_is_for(bench):
    claims = CLAIMS | signed()
    for method, path in NOT_SIGNED:
        answer = ask(bench, method, path, "admin", body=POST, **claims)
        assert answer.status == 404, (method, path)


def test_a_signature_is_for_one_project(bench):
    headers = signed() | {"X-Project-ID": "beta"}
    assert ask(bench, "POST", MESSAGES, body=POST, **headers).status == 404
    del headers["X-Project-ID"]
    assert ask(bench, "POST", MESSAGES, body=POST, **headers).status == 404


def test_a_signature_brings_no_roles(tmp_path):
    rules = tmp_path / "policy.yaml"
    rules.write_text('{"messages:get_all": "role:admin"}')
    options = f"{OPTIONS}[oslo_policy]\npolicy_file = {rules}\n"
    bench = Bench(tmp_path, "sqlite://:memory:", options, Door())
    try:
        claims = signed() | {"X-Roles": "admin", "X-User-Id": "admin"}
        assert ask(bench, "GET", MESSAGES, "admin", **claims).status == 403
        assert ask(bench, "GET", MESSAGES, "admin").status == 200
    finally:
        bench.close()


def test_a_token_restricted_to_some_requests_is_asked_about_each(bench, door):
    door.known["key"] = Identity("alpha", restricted=True)
    ask(bench, "GET", MESSAGES, "key")
    ask(bench, "DELETE", QUEUE, "key")
    assert door.asked == [("GET", MESSAGES), ("DELETE", QUEUE)]
