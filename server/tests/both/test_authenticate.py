"""Connections that have to authenticate (``websocket-v2`` section 5)."""

import asyncio
import itertools

import pytest
from zaqarserver.errors import Forbidden
from zaqarserver.identity.auth import Identity
from zaqarserver.operations import OPERATIONS
from zaqarserver.operations.signed_urls import Signer
from zaqarserver.storage.accounts import UsageGet

from .bench import Bench
from .door import OPTIONS, SECRET, Door, Line
from .service import CLIENT

NOBODY = (403, {"error": "Not authentified."})
SOMEBODY_ELSE = (403, {"error": "Not authenticated."})
WELCOME = (200, {"message": "Authentified."})
REFUSED = (401, {"error": "Authentication failed."})
EXPIRED = 4003
#: Whatever an action may need.
EVERYTHING = {
    "queue_name": "orders",
    "topic_name": "orders",
    "messages": [{"body": 1}],
    "message_id": "x",
    "message_ids": ["x"],
    "claim_id": "x",
    "subscription_id": "x",
    "project_id": "alpha",
    "grant_id": "x",
}


@pytest.fixture
def door():
    return Door()


@pytest.fixture
def bench(door, tmp_path):
    made = Bench(tmp_path, "sqlite://:memory:", OPTIONS, door)
    yield made
    made.close()


@pytest.fixture
def dial(bench):
    lines = []

    def make(**how):
        lines.append(Line(bench, **how))
        return lines[-1]

    yield make
    for line in lines:
        line.dialog.close()


@pytest.fixture
def line(dial):
    return dial()


@pytest.fixture
def inside(line):
    """A connection of alice's, in the project alpha."""
    assert line.authenticate("alice") == WELCOME
    return line


def queues(bench, project="alpha"):
    return bench.run(bench.storage.do(UsageGet(project, bench.now))).queues


# -- without authentication -----------------------------------------------------


ACTIONS = sorted(row.name for row in OPERATIONS)
ROLES = {"X-Roles": "admin", "X-User-Id": "admin", "X-Identity-Status": "Confirmed"}


def test_a_stranger_can_do_nothing(line, bench, door):
    for action, roles in itertools.product(ACTIONS, ({}, ROLES)):
        status, body = line.ask(action, body=EVERYTHING, **roles)
        assert status in (400, 403), (action, body)
        if status == 403:
            assert body == NOBODY[1], action
    assert door.asked == []
    usage = bench.run(bench.storage.do(UsageGet("alpha", bench.now)))
    assert (usage.queues, usage.messages, usage.subscriptions) == (0, 0, 0)


MALFORMED = [
    ("queue_get", {"X-Project-ID": "alpha"}, {"queue_name": "q"}),
    ("queue_get", {"Client-ID": CLIENT}, {"queue_name": "q"}),
    ("queue_get", {"Client-ID": CLIENT, "X-Project-ID": 1}, {"queue_name": "q"}),
    ("queue_get", {"Client-ID": CLIENT, "X-Project-ID": "alpha"}, {}),
    ("queue_get", {"Client-ID": "x", "X-Project-ID": "alpha"}, {"queue_name": "q"}),
    ("authenticate", {"X-Auth-Token": "alice"}, None),
    ("authenticate", {"X-Project-ID": "alpha"}, None),
    ("authenticate", {"X-Project-ID": "alpha", "X-Auth-Token": ["alice"]}, None),
    ("fly", {"Client-ID": CLIENT, "X-Project-ID": "alpha"}, {}),
]


def test_what_is_malformed_is_told_so_first(line, door):
    for malformed in MALFORMED:
        assert line.exchange(*malformed)["headers"]["status"] == 400, malformed
    assert door.asked == []


def test_a_connection_that_proves_nothing_is_closed(bench, dial):
    stranger, friend = dial(), dial()
    friend.authenticate("alice")
    assert bench.frames.close_anonymous(60.0) == 0
    assert bench.frames.close_anonymous(-1.0) == 1
    stranger.dialog.wait_until_dropped()
    assert stranger.dialog.dropped == 1008
    assert friend.ask("queue_list")[0] == 200


def test_frames_of_a_stranger_do_not_keep_its_connection_open(bench, dial):
    stranger, holder = dial(), dial()
    begun = min(one.last_admitted for one in bench.frames._connections)
    stranger.ask("queue_list")
    holder.ask("message_list", body={"queue_name": "orders"}, **signature())
    moments = sorted(one.last_admitted for one in bench.frames._connections)
    assert moments[0] == begun
    assert moments[1] > begun


# -- authenticate -----------------------------------------------------------------


def test_a_token_opens_its_own_project_and_no_other(inside, bench):
    assert inside.ask("queue_create", body={"queue_name": "orders"})[0] == 201
    for project in ("beta", "", None, "Alpha", "alpha "):
        asked = inside.ask("queue_create", project, {"queue_name": "theirs"})
        assert asked == SOMEBODY_ELSE
    assert queues(bench) == 1
    assert queues(bench, "beta") == 0


@pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
def test_authenticate_takes_any_body_and_needs_no_client_id(dial, binary):
    line = dial(binary=binary)
    headers = {"X-Auth-Token": "alice", "X-Project-ID": "alpha"}
    for body in ({}, [], "x", 7, {"a": 1}):
        answer = line.exchange("authenticate", headers, body)
        assert (answer["headers"]["status"], answer["body"]) == WELCOME
        assert answer["request"]["headers"] == {}


def test_a_refused_token_may_be_followed_by_another_at_once(line):
    assert line.authenticate("nobody") == REFUSED
    assert line.ask("queue_list") == NOBODY
    assert line.authenticate("alice") == WELCOME
    assert line.ask("queue_list")[0] == 200


def test_a_refused_token_leaves_the_one_before_in_force(inside):
    assert inside.authenticate("nobody") == REFUSED
    assert inside.authenticate("bob", "alpha") == SOMEBODY_ELSE
    assert inside.ask("queue_list")[0] == 200


def test_a_token_for_no_project_is_explained(line, door):
    door.known["unscoped"] = Forbidden("The token is for no project.")
    assert line.authenticate("unscoped") == (
        403,
        {"error": "The token is for no project."},
    )
    assert line.ask("queue_list") == NOBODY


def test_another_token_replaces_the_one_before(inside):
    assert inside.authenticate("bob", "beta") == WELCOME
    assert inside.ask("queue_list", "beta")[0] == 200
    assert inside.ask("queue_list", "alpha") == SOMEBODY_ELSE


def test_roles_are_those_of_the_token_and_none_that_a_frame_names(inside):
    assert inside.ask("health", **ROLES)[0] == 403
    assert inside.authenticate("admin") == WELCOME
    assert inside.ask("health", **{"X-Roles": "member"})[0] == 200


def test_roles_taken_away_are_missed_at_the_next_frame(line, door):
    assert line.authenticate("admin") == WELCOME
    assert line.ask("health")[0] == 200
    door.known["admin"] = Identity("alpha", ("member",), "admin", "admin")
    assert line.ask("health")[0] == 403


def test_a_token_restricted_to_some_requests_opens_no_others(line, door):
    class Rules(Door):
        async def identify(self, headers, method, path, /):
            if (method, path) not in allowed:
                headers = {}
            return await super().identify(headers, method, path)

    allowed = {("POST", "/"), ("GET", "/v2/queues/orders/messages")}
    door.__class__ = Rules
    door.known["key"] = Identity("alpha", restricted=True)
    assert line.authenticate("key") == WELCOME
    assert line.ask("message_list", body={"queue_name": "orders"})[0] == 200
    assert line.ask("message_list", body={"queue_name": "other"}) == SOMEBODY_ELSE
    posted = {"queue_name": "orders", "messages": [{"body": 1}]}
    assert line.ask("message_post", body=posted) == SOMEBODY_ELSE


# -- the order of frames ------------------------------------------------------------


def frame(action, **headers):
    own = {"Client-ID": CLIENT, "X-Project-ID": "alpha"}
    return {"action": action, "headers": {**own, **headers}}


def test_what_follows_authenticate_waits_until_it_is_decided(line, door, bench):
    door.held = asyncio.Event()
    line.send(frame("authenticate", **{"X-Auth-Token": "alice"}))
    line.send(frame("queue_list"))
    line.send(frame("queue_list", **{"X-Request-ID": "aside"}))

    async def release():
        await door.was_asked.acquire()
        for _ in range(20):
            await asyncio.sleep(0)
        assert door.asked == [("POST", "/")]
        door.held.set()

    bench.run(release())
    answers = [line.receive() for _ in range(3)]
    assert [one["request"]["action"] for one in answers] == [
        "authenticate",
        "queue_list",
        "queue_list",
    ]
    assert [one["headers"]["status"] for one in answers] == [200, 200, 200]


def test_authenticate_is_not_served_aside(line, door, bench):
    line.send(frame("authenticate", **{"X-Auth-Token": "alice", "X-Request-ID": "1"}))
    line.send(frame("queue_list"))
    first, second = line.receive(), line.receive()
    assert first["headers"] == {"status": 200, "X-Request-ID": "1"}
    assert second["headers"] == {"status": 200}


def test_what_came_before_authenticate_has_no_part_in_it(line):
    line.send(frame("queue_list", **{"X-Request-ID": "aside"}))
    line.send(frame("authenticate", **{"X-Auth-Token": "alice"}))
    statuses = {
        one["request"]["action"]: one["headers"]["status"]
        for one in (line.receive(), line.receive())
    }
    assert statuses == {"queue_list": 403, "authenticate": 200}


# -- the end of an identity -----------------------------------------------------------


def test_a_revoked_token_ends_the_connection_at_its_next_frame(inside, door):
    del door.known["alice"]
    assert inside.ask("queue_create", body={"queue_name": "orders"}) == NOBODY
    inside.dialog.wait_until_dropped()
    assert inside.dialog.dropped == EXPIRED


def test_frames_behind_a_revoked_token_are_not_served(inside, door, bench):
    del door.known["alice"]
    for _ in range(3):
        inside.send(frame("queue_create") | {"body": {"queue_name": "orders"}})
    assert inside.receive()["headers"]["status"] == 403
    inside.dialog.wait_until_dropped()
    assert queues(bench) == 0


def expiring(bench, project="alpha", recheck=None):
    """An identity that ends at once, when the clock is put forward."""
    return Identity(project, ("member",), "alice", "t", bench.now + 0.001, recheck)


def test_an_expired_token_ends_the_connection_and_its_pushes(line, door, bench):
    door.known["short"] = expiring(bench)
    assert line.authenticate("short") == WELCOME
    subscribed = line.ask("subscription_create", body={"queue_name": "orders"})
    assert subscribed[0] == 201
    bench.now += 1
    line.dialog.wait_until_dropped()
    assert line.dialog.dropped == EXPIRED
    assert bench.run(bench.storage.do(UsageGet("alpha", bench.now))).subscriptions == 0


def test_authenticating_anew_in_time_keeps_the_connection_open(line, door, bench):
    door.known["short"] = expiring(bench)
    assert line.authenticate("short") == WELCOME
    assert line.authenticate("alice") == WELCOME
    bench.now += 1
    bench.run(asyncio.sleep(0.01))
    assert line.ask("queue_list")[0] == 200
    assert line.dialog.dropped is None


def listening(line, door, bench):
    """A connection that listens, whose token is looked at again at once."""
    door.known["checked"] = Identity(
        "alpha", (), "alice", "t", bench.now + 3600, bench.now
    )
    assert line.authenticate("checked") == WELCOME
    assert line.ask("subscription_create", body={"queue_name": "orders"})[0] == 201


@pytest.fixture
def hasty(monkeypatch):
    """Look at listeners again after no time."""
    monkeypatch.setattr("zaqarserver.websocket.authentication.LEAST_PAUSE", 0.001)
    monkeypatch.setattr("zaqarserver.websocket.authentication.PAUSE", 0.001)


def test_a_revoked_token_ends_a_connection_that_only_listens(hasty, line, door, bench):
    listening(line, door, bench)
    del door.known["checked"]
    line.dialog.wait_until_dropped()
    assert line.dialog.dropped == EXPIRED
    assert bench.run(bench.storage.do(UsageGet("alpha", bench.now))).subscriptions == 0


def test_a_listener_is_served_on_while_nobody_can_check_its_token(
    hasty, line, door, bench
):
    listening(line, door, bench)
    door.is_silent = True
    door.was_asked = asyncio.Semaphore(0)

    async def asked_again():
        for _ in range(3):
            await door.was_asked.acquire()

    bench.run(asyncio.wait_for(asked_again(), 10))
    assert line.dialog.dropped is None
    assert line.ask("queue_list")[0] == 503
    door.is_silent = False
    assert line.ask("queue_list")[0] == 200


def test_a_connection_that_does_not_listen_is_checked_at_its_frames_only(
    hasty, line, door, bench
):
    door.known["checked"] = Identity("alpha", recheck=bench.now)
    assert line.authenticate("checked") == WELCOME
    before = len(door.asked)
    bench.run(asyncio.sleep(0.02))
    assert len(door.asked) == before


def test_pushes_end_with_the_project_that_they_are_of(inside, bench):
    assert inside.ask("subscription_create", body={"queue_name": "orders"})[0] == 201
    assert inside.authenticate("bob", "beta") == WELCOME
    assert bench.run(bench.storage.do(UsageGet("alpha", bench.now))).subscriptions == 0
    assert inside.ask("subscription_create", "beta", {"queue_name": "q"})[0] == 201
    assert inside.authenticate("bob", "beta") == WELCOME
    assert bench.run(bench.storage.do(UsageGet("beta", bench.now))).subscriptions == 1


def test_a_server_that_cannot_ask_says_so_and_keeps_the_connection(line, door):
    door.is_silent = True
    assert line.authenticate("alice") == (503, {"error": "Authentication failed."})
    assert line.ask("queue_list") == NOBODY
    door.is_silent = False
    assert line.authenticate("alice") == WELCOME


# -- signatures ------------------------------------------------------------------------

MESSAGES = "/v2/queues/orders/messages"
METHODS = ("GET", "POST", "DELETE")
EXPIRES = 4_000_000_000.0


def signature(paths=(MESSAGES,), methods=METHODS, project="alpha", **changed):
    grant = Signer(SECRET).sign(paths, methods, project, EXPIRES)
    headers = {
        "URL-Signature": grant.signature,
        "URL-Expires": grant.expires,
        "URL-Methods": grant.methods,
        "URL-Paths": grant.paths,
        **changed,
    }
    return {name: value for name, value in headers.items() if value is not None}


BODY = {"queue_name": "orders"}
SIGNABLE = {
    "message_list": BODY,
    "message_get": BODY | {"message_id": "x"},
    "message_get_many": BODY | {"message_ids": ["x"]},
    "message_post": BODY | {"messages": [{"body": 1}]},
    "message_delete": BODY | {"message_id": "x"},
    "message_delete_many": BODY | {"message_ids": ["x"]},
}


@pytest.mark.parametrize("binary", [False, True], ids=["json", "msgpack"])
def test_a_signature_opens_the_messages_of_its_queue(dial, binary):
    line = dial(binary=binary)
    statuses = {
        action: line.ask(action, body=body, **signature())[0]
        for action, body in SIGNABLE.items()
    }
    assert statuses == {
        "message_list": 200,
        "message_get": 404,
        "message_get_many": 200,
        "message_post": 201,
        "message_delete": 204,
        "message_delete_many": 204,
    }
    assert line.ask("message_list", body=BODY) == NOBODY


def test_a_signature_opens_nothing_else(line):
    every = [f"/v2/queues/orders/{kind}" for kind in ("messages", "claims")]
    headers = signature((*every, "/v2/queues/orders/subscriptions"))
    for action in set(ACTIONS) - SIGNABLE.keys():
        status, body = line.ask(action, body=EVERYTHING, **headers)
        assert status in (400, 403), (action, body)


MISFITS = [
    signature((MESSAGES.replace("orders", "other"),)),
    signature((MESSAGES + "/x",)),
    signature((MESSAGES[:-1],)),
    signature(("/v2/queues/orders/claims",)),
    signature(methods=("GET",)),
    signature(project="beta"),
    signature(**{"URL-Signature": ""}),
    signature(**{"URL-Signature": "0" * 64}),
    signature(**{"URL-Signature": None}),
    signature(**{"URL-Signature": 7}),
    signature(**{"URL-Signature": "é" * 64}),
    signature(**{"URL-Expires": "2001-01-01T00:00:00"}),
    signature(**{"URL-Expires": "soon"}),
    signature(**{"URL-Expires": 4_000_000_000}),
    signature(**{"URL-Methods": "DELETE,GET,POST"}),
    signature(**{"URL-Methods": None}),
    signature(**{"URL-Methods": ["GET", 7]}),
    signature(**{"URL-Paths": MESSAGES}),
    signature(**{"URL-Paths": []}),
    signature(**{"URL-Paths": {"a": 1}}),
    signature(**{"URL-Paths": [MESSAGES, "/v2/queues/orders/claims"]}),
]


def test_a_signature_that_does_not_fit_opens_nothing(line, bench):
    for headers in MISFITS:
        asked = line.ask("message_post", body=SIGNABLE["message_post"], **headers)
        assert asked == NOBODY, headers
    assert bench.run(bench.storage.do(UsageGet("alpha", bench.now))).messages == 0


def test_the_order_of_what_is_signed_does_not_matter(line):
    headers = signature((MESSAGES, "/v2/queues/orders/claims"))
    headers["URL-Paths"].reverse()
    headers["URL-Methods"].reverse()
    assert line.ask("message_list", body=BODY, **headers)[0] == 200


def test_a_signature_brings_no_roles_and_no_other_project(line):
    claims = {"X-Roles": "admin", "X-Auth-Token": "admin"}
    assert line.ask("health", **signature(), **claims) == NOBODY
    assert line.ask("message_list", "beta", BODY, **signature(), **claims) == NOBODY


def test_who_authenticated_needs_no_signature_and_none_counts(inside):
    wrong = signature(**{"URL-Signature": "wrong"})
    assert inside.ask("message_list", body=BODY, **wrong)[0] == 200
    theirs = signature(project="beta")
    assert inside.ask("message_list", "beta", BODY, **theirs) == SOMEBODY_ELSE


# -- what is repeated ----------------------------------------------------------


def test_secrets_are_masked_wherever_headers_are_repeated(line):
    headers = {
        "Client-ID": CLIENT,
        "X-Project-ID": "alpha",
        "X-Auth-Token": "alice",
        "X-Service-Token": "service",
        "URL-Signature": "0" * 64,
    }
    shown = dict.fromkeys(("X-Auth-Token", "X-Service-Token", "URL-Signature"), "***")
    whole = line.exchange("queue_list", headers)
    assert whole["request"]["headers"] == headers | shown
    refused = line.exchange("fly", headers)
    assert refused["headers"]["status"] == 400
    assert refused["request"]["headers"] == headers | shown
    odd = line.exchange("queue_list", ["X-Auth-Token", "alice"])
    assert odd["headers"]["status"] == 400
    assert odd["request"]["headers"] == {}
